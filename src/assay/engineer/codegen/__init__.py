"""C++ kernels from a graph: lowering to loops, fusing them, writing them down."""
