"""Time of solves and gradients beside hand-written loops and torchsde: `latentsde bench solver`.

python benchmarks/solver.py [--quick] [--rounds N] [--threads 2] [--sizes BxDxH,...] [--out DIR]
"""

from __future__ import annotations

import sys

from latentsde.cli import main

if __name__ == "__main__":
    sys.exit(main(["bench", "solver", *sys.argv[1:]]))
