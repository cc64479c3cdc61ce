"""One shape for every task: examples in, answers out, a score an item; each task is one file of data."""
