"""Passes what a run records on to experiment trackers, such as MLflow, while it trains."""
