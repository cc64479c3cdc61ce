"""What makes the book out of its chapters. Notebooks are data here, and torch is never imported."""
