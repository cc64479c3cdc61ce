"""Sweeps over seeds, the statistics of what they show, and where they are kept."""
