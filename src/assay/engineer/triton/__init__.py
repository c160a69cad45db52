"""Kernels for NVIDIA's GPUs as Triton: source text and a launch plan, written without Triton and without a GPU."""
