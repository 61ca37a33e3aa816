"""Searches for settings of an experiment, by Optuna."""
