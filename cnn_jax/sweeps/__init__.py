"""Many runs of one experiment, by one process or by several that share a folder."""
