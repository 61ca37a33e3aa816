"""The mistakes that are told in one line, without a traceback."""

from __future__ import annotations


class UserError(ValueError):
    """Something was asked for that can't be; one line says what and how to put it right."""


class RunFailed(RuntimeError):
    """What was asked for is fine, but it went wrong on the way; one line says where."""
