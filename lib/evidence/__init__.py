"""Sweeps over seeds, what they prove, and where they are kept."""
