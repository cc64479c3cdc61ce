"""Speed and memory of the book's training against other libraries: `python -m benchmarks`."""
