"""Networks that predict the Game of Life: learnt, pruned to a tenth, and proved by enumeration."""
