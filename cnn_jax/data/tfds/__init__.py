"""Sets that TensorFlow Datasets (TFDS) has prepared, read without TensorFlow."""
