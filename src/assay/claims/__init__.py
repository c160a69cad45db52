"""The second kind of claim, "as good and cheaper": quality within a margin, and cost, judged from model folders."""
