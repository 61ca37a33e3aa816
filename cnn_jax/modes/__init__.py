"""One file for each `--mode` of the command line, with its flags.

May import every module but `cli`.
"""
