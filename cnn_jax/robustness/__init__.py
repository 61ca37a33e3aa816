"""Tests a net on corrupted images, shifted test sets and adversarial examples.

Imports `training`, `report` and the sub-packages before them.
"""
