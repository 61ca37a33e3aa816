"""Compiled operations for XLA on a CPU, which the extra `onednn` makes available.

`library.load` compiles them on this machine, at their first use.
"""
