"""The types that every floor shares; standard library only."""
