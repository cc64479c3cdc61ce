"""What a run needs around its method: machine, checkpoints, adapters in files."""
