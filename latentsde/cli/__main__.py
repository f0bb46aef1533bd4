"""`python -m latentsde.cli`: the command without its script."""

import sys

from latentsde.cli import main

sys.exit(main())
