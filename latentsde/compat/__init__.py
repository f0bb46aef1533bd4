"""Other packages' interfaces, kept by this package's core: their users change an import and nothing else."""
