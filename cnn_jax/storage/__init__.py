"""Atomic files, locks between processes, digests, JSON, and pytrees of arrays on disk.

Imports only `errors`.
"""
