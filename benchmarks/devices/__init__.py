"""Small networks on small processors: what is left of their quality, and what they take of memory and a battery."""
