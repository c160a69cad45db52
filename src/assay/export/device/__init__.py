"""Exported programs on small processors, emulated: what they answer, their size, and how long they take."""
