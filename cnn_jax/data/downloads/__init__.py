"""The original files of published sets: downloaded, verified and read."""
