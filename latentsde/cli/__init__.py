"""The commands: `latentsde demo | fit | predict | sample | report | bench`."""

from latentsde.cli.app import main

__all__ = ["main"]
