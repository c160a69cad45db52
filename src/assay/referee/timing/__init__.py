"""Is it really faster: paired statistics, from raw samples to a claim."""
