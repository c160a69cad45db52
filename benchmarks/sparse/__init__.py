"""What sparse layers cost beside dense ones: one-thread CPU time, in turns in one run, checked before it is timed."""
