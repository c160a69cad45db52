"""C99 from a network."""
