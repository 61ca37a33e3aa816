"""Whole files, locks between processes, digests, JSON, and arrays as Orbax writes them."""
