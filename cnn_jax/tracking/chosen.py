"""Reads the tracker that --track names."""

from cnn_jax import config
from cnn_jax.config.construct import Names
from cnn_jax.errors import ConfigError, UserError
from cnn_jax.tracking.mlflow import MLflow
from cnn_jax.tracking.writer import Writer


def chosen(text: str | None, names: Names) -> list[Writer]:
    """The tracker of "mlflow", "mlflow(experiment='rates')", or of a class in a recipe's file.

    Args:
      text: The value of --track; None: no tracker.
      names: Classes of the recipe's file, by name.

    Raises:
      UserError: it names no tracker, or the tracker's library is missing.
    """
    if text is None:
        return []
    try:
        return [config.from_text(text, {**names, "mlflow": MLflow}, Writer)]
    except ConfigError as error:
        raise UserError(f"--track: {error}") from error
