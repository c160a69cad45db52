"""From a task to candidates: the graph of its reference, and the proposers that write kernels for it."""
