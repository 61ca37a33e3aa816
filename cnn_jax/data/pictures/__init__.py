"""Pictures in files: found in folders, decoded, kept in memory or read when they are needed."""
