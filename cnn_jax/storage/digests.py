"""Writes and verifies the digests of all files of a folder."""

import hashlib
import re
from pathlib import Path

from cnn_jax.storage import files

NAME = "SHA256SUMS"
# Prefix of the last line, the digest of the lines before it: the list itself may be damaged too.
OWN = "# "
# Files that file browsers and network disks create and change in any folder.
IGNORED = re.compile(r"\.DS_Store|\._.*|\.nfs.*|Thumbs\.db|desktop\.ini")


def seal(folder: Path) -> None:
    """Flushes every file of a folder to disk, then writes the list of their digests.

    The list has the format of `sha256sum`, which can check it too.
    """
    lines = []
    for path in _paths(folder):
        files.sync(path)
        lines.append(f"{_digest(path)}  {path.relative_to(folder).as_posix()}\n")
    for path in sorted(path for path in folder.rglob("*") if path.is_dir()):
        files.sync(path)
    text = "".join(lines).encode()
    own = f"{OWN}{hashlib.sha256(text).hexdigest()}\n".encode()
    files.write_atomically(folder / NAME, text + own)


def problem(folder: Path, *, among_others: bool = False) -> str:
    """Describes the first change since the folder was sealed; "" if there is none.

    Args:
      folder: The folder.
      among_others: Whether to ignore files that were added later.
    """
    try:
        *lines, own = (folder / NAME).read_bytes().splitlines(keepends=True)
        text = b"".join(lines)
        if own != f"{OWN}{hashlib.sha256(text).hexdigest()}\n".encode():
            return f"{NAME} has changed"
        pairs = (line.split("  ", 1) for line in text.decode().splitlines())
        listed = {name: digest for digest, name in pairs}
        present = {path.relative_to(folder).as_posix(): path for path in _paths(folder)}
        for name in sorted(listed.keys() | present.keys()):
            if name not in present:
                return f"{name} is missing"
            if name not in listed and not among_others:
                return f"{name} does not belong there"
            if name in listed and _digest(present[name]) != listed[name]:
                return f"{name} has changed"
    except ValueError:
        return f"{NAME} has changed"
    except OSError as error:
        return f"{Path(error.filename or folder).name}: {error.strerror}"
    return ""


def _paths(folder: Path) -> list[Path]:
    return sorted(
        path
        for path in folder.rglob("*")
        if path.is_file() and path != folder / NAME and not IGNORED.fullmatch(path.name)
    )


def _digest(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
