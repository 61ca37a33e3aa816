"""Where the files and folders are that a run's config names: when the run began, and now."""

import os
from collections.abc import Collection, Mapping
from typing import NamedTuple

from cnn_jax import config
from cnn_jax.experiment import Experiment
from cnn_jax.storage.files import absolute


class Compared(NamedTuple):
    """The paths of an experiment, compared with those of the run that it is to resume.

    Attributes:
      respelled: The experiment, with the run's spelling of each path that is the same file or
        folder, or that has moved.
      moved: Where those are now that have moved, by dotted field.
      other: Fields that are spelled alike but name another file or folder, with both.
    """

    respelled: Experiment
    moved: dict[str, str]
    other: list[str]


def to_record(experiment: Experiment) -> dict[str, str]:
    """Returns the paths that depend on the working directory or the user, absolute, by field."""
    paths = config.local_paths(experiment)
    return {name: absolute(path) for name, path in paths.items() if not os.path.isabs(path)}


def as_recorded(experiment: Experiment, recorded: Mapping[str, str]) -> Experiment:
    """Returns a run's experiment with the recorded paths, to be used from any working directory.

    A path stays as written if it names the same from here, or if only the written one exists: the
    run and its data may have moved together.
    """
    found = {}
    for name, written in config.local_paths(experiment).items():
        path, here = recorded.get(name, written), absolute(written)
        if path != here and (os.path.exists(path) or not os.path.exists(here)):
            found[name] = path
    return config.with_paths(experiment, found)


def completed(experiment: Experiment, run: Experiment, recorded: Mapping[str, str]) -> Experiment:
    """Returns an experiment with recorded paths where it has a run's spelling that fails from here.

    Args:
      experiment: What is to resume the run, perhaps from another working directory.
      run: The run's experiment, as written.
      recorded: The run's absolute paths, by dotted field.
    """
    written = config.local_paths(run)
    known = {
        written[name]: path
        for name, path in recorded.items()
        if name in written and os.path.exists(path)
    }
    lost = {
        name: known[path]
        for name, path in config.local_paths(experiment).items()
        if path in known and not os.path.exists(absolute(path))
    }
    return config.with_paths(experiment, lost)


def compare(
    before: Experiment, now: Experiment, recorded: Mapping[str, str], verified: Collection[str]
) -> Compared:
    """Compares the paths of a run's experiment, as written, with those of one that resumes it.

    Args:
      before: The run's experiment, as written.
      now: The other experiment.
      recorded: The run's absolute paths, by dotted field.
      verified: Fields of the experiment whose content is compared elsewhere, so that their paths
        may be others if the recorded ones are gone.
    """
    written, given = config.local_paths(before), config.local_paths(now)
    spelling: dict[str, str] = {}
    moved: dict[str, str] = {}
    other: list[str] = []
    for name in sorted(written.keys() & given.keys()):
        old, new = recorded.get(name, written[name]), absolute(given[name])
        alike = written[name] == given[name]
        if not os.path.isabs(old):  # a run from before paths were recorded
            continue
        if os.path.realpath(old) == os.path.realpath(new):
            spelling[name] = written[name]
        elif not os.path.exists(old) and (alike or name.partition(".")[0] in verified):
            spelling[name] = written[name]
            if os.path.exists(new):
                moved[name] = new
        elif alike and os.path.exists(new):
            other.append(f"{name}: {old} -> {new}")
    return Compared(config.with_paths(now, spelling), moved, other)
