"""Time and memory of Brownian paths beside torch.randn, torchsde and diffrax: `latentsde bench brownian`.

python benchmarks/brownian.py [--quick] [--rounds N] [--threads 2] [--out DIR]
"""

from __future__ import annotations

import sys

from latentsde.cli import main

if __name__ == "__main__":
    sys.exit(main(["bench", "brownian", *sys.argv[1:]]))
