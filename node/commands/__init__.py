"""The commands of `gotong`, one module each; heavy imports stay inside the functions so that `--help` is quick."""
