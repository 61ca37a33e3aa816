"""What XLA:CPU does from some version on, where the fastest form of an operation depends on it."""

import jax

# From jax 0.11 on, an `optimization_barrier` ends a fusion, sums of rows use vector instructions,
# and a small batched matrix product runs on several cores only if it sums over the last axis of its
# first factor.
NEW = jax.__version_info__ >= (0, 11)
