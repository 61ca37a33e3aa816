"""The devices, the host and this process: hardware facts, signals, malloc, the compile cache."""
