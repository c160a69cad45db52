"""What an exported package is made of; nothing here is imported by Assay itself."""
