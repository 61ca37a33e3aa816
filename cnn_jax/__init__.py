"""ConvNet research on CIFAR-10 with JAX, Flax, Optax, TFDS and Orbax.

Nothing starts at import: `from cnn_jax.train import train`, `from cnn_jax import models`.
"""
