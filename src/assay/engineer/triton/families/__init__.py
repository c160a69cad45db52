"""One file for each family of operators: from a description to a candidate's file, and what of it may be tuned."""
