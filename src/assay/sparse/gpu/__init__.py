"""The sparse operators' Triton kernels for NVIDIA's GPUs: block-sparse and grouped products."""
