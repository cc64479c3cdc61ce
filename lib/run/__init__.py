"""Where and how a run takes place: device, precision, checkpoints, frozen layers that are computed once."""
