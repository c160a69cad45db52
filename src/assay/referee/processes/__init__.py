"""What runs confined: the worker, the oracle, and their wire. Only `worker` runs candidates; nothing imports it."""
