"""Other libraries' methods in this package's form; `pip install 'assay[prune]'` brings them."""
