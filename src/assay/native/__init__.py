"""C++ that Assay itself ships, for what Python is too slow or too uneven for; built on first use."""
