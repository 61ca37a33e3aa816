"""Compares groups of runs: what can be concluded from their test accuracies, and what can't."""
