"""Formats in: every importer turns its format into one task program, as text (docs/task-format.md)."""
