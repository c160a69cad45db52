"""One timed call: sealed memory, clocks, parties, chains and secrets."""
