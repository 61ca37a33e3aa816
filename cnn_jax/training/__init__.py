"""The training step and its state, the loop around it, and the evaluation of a split.

Imports `experiment`, `config` and the sub-packages before them. It reads and writes no files.
"""
