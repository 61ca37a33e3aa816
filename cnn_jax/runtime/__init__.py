"""The devices, the host and this process: hardware, sharding, signals, malloc, compile cache.

Imports only `errors` and `storage`.
"""
