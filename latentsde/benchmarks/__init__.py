"""Speed and memory, always beside a peer measured in the same run: what `latentsde bench` prints.

A folder for each benchmark, its `run` in run.py; beside the folders is what they share. No package imports
anything here: a process whose memory is measured imports them as well, and should hold no more than what it
measures.
"""
