"""Sparse layers that turn zeros into time: block-sparse, unstructured and grouped products with their kernels."""
