"""Writing to a terminal: a console that survives a closed pipe, progress bars, durations.

Imports nothing of this package, so that every sub-package may show its progress.
"""
