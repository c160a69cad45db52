"""Certified kernels back into a model that somebody already has."""
