"""What to try next: one strategy a file, all pure ask/tell state; `registry` lists them."""
