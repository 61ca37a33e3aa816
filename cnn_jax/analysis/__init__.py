"""A net's layers, volumes and activations; saliency and calibration."""
