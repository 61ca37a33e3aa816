"""What people look at: console output, progress, tables, figures and HTML pages.

Imports `analysis`, `data`, `storage` and `errors`; the caller passes in everything else.
"""
