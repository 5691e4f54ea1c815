"""Write the golden copy of the contract: `python -m schema > schema/schema.graphql`."""

import sys

from schema.root import sdl

if __name__ == "__main__":
    sys.stdout.write(sdl())
