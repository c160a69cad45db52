"""Ways of pruning a trained language model without training it again, ranked by what they lose."""
