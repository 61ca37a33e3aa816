"""The recorded results, the sizes of all models, and the list of recipes.

Imports `report`, `analysis`, `models` and the sub-packages before them.
"""
