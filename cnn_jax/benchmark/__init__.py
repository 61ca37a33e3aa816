"""Measures the throughput of training and inference, and which parts of a step take how long.

Imports `runs`, `training`, `report` and the sub-packages before them.
"""
