"""What this machine is and can do: facts, measured peaks, clocks."""
