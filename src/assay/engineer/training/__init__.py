"""A training step as tasks: gradients, the optimiser's update, and what is measured about the whole."""
