"""The training step, its state, the loop around it and the evaluation of a split."""
