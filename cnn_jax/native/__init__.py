"""Compiled operations for XLA on a CPU, which the extra `onednn` makes available.

`library.load` compiles `convolution.cc` on this machine, at its first use.
"""
