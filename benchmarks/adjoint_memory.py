"""Memory of gradients against the number of steps, beside torchsde: `latentsde bench adjoint-memory`.

python benchmarks/adjoint_memory.py [--quick] [--threads 2] [--out DIR]
"""

from __future__ import annotations

import sys

from latentsde.cli import main

if __name__ == "__main__":
    sys.exit(main(["bench", "adjoint-memory", *sys.argv[1:]]))
