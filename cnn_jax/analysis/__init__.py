"""Analyses of a net: its layers, volumes and FLOPs, activations, saliency and calibration.

Imports `experiment`, `config` and the rooms before them; no training and no runs.
"""
