"""Is an output right: error budget, input families, boundary shapes, and the audit of a task."""
