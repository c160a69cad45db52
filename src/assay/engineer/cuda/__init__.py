"""The code generator for NVIDIA's GPUs: the same programs as for a processor, as CUDA kernels with a launch plan."""
