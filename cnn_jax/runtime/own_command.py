"""The command of this process, for other processes that do a part of its work."""

import sys
from collections.abc import Collection


def own_command(without: Collection[str], *added: str) -> list[str]:
    """This process's command without some flags, and with others.

    Args:
      without: Names of flags to leave out, with their values.
      *added: Flags to add at the end.
    """
    kept, skip = [], False
    for word in sys.orig_argv[1:]:
        name, equals, _ = word.lstrip("-").partition("=")
        if skip:
            skip = False
        elif word.startswith("-") and name in without:
            skip = not equals
        else:
            kept.append(word)
    return [sys.executable, *kept, *added]
