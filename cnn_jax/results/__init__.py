"""The recorded results, the sizes of the models and the list of recipes."""
