"""Analyses of a net: its layers, volumes and FLOPs, activations, saliency and calibration.

Imports `experiment`, `config` and the sub-packages before them; no training and no runs.
"""
