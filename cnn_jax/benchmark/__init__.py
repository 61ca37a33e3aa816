"""Measures how fast a recipe trains and scores, and where the time of a step goes."""
