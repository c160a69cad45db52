"""A claim's certificate as one HTML file, in the style of the kernels'."""
