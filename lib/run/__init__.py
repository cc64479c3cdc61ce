"""Where and how a run takes place: device, precision, checkpoints, layers that are read once."""
