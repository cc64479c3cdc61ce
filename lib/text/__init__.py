"""What a language model reads, learns and writes: token rows, likelihoods, generation."""
