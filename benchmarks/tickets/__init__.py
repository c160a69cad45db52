"""Lottery tickets: does a pruned network, trained again from its own initial weights, match the dense one?"""
