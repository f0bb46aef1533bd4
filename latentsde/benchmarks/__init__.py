"""Speed and memory, always beside a peer measured in the same run: what `latentsde bench` prints.

`brownian.run` measures Brownian paths. Nothing is imported here: a process whose memory is measured imports
this package as well, and should hold no more than the path it sweeps.
"""
