"""Who writes candidates: each module is one proposer."""
