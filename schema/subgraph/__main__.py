"""Print what a gateway composes: `python -m schema.subgraph > gotong.graphql`."""

import sys

from schema.root import sdl
from schema.subgraph.sdl import subgraph_sdl

if __name__ == "__main__":
    sys.stdout.write(subgraph_sdl(sdl()))
