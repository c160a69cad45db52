"""The party that judges: it never runs candidate code and trusts nothing that a worker says."""
