"""Projections, regularisers and the training loop of *Project and Regularize*."""
