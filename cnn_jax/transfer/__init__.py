"""Weights from elsewhere: initial weights, PyTorch state dicts, teachers for distillation.

Imports `runs`, `training` and the sub-packages before them.
"""
