"""The stages of benchmarks/accelerator.py: what is measured on an accelerator, one file each."""
