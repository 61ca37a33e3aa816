"""Weights from elsewhere: initial weights, PyTorch nets, teachers."""
