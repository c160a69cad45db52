"""Assay makes AI models cheaper to run and to train, and proves it."""
