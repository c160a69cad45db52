"""A search as one HTML file: what it reached and when, who proposed what, and where the best came from."""
