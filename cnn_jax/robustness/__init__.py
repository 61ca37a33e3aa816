"""What a net meets outside of its test set: corrupted images, and images made to fool it."""
