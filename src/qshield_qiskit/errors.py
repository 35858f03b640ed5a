"""The one exception that means "the input was wrong", and how its line is worded."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class InputError(ValueError):
    """Something the user gave cannot be used.

    Its message is one line that says what came, what was expected and what to try. The command line prints that
    line and exits with status 2; any other exception is a bug of ours and keeps its traceback.
    """


def unknown(kind: str, name: str, known: Iterable[str]) -> InputError:
    """Word the error for a name that is not among the known ones, nearest match first.

    Args:
        kind: What was looked for, in the user's words ("circuit", "setting", ...).
        name: What came.
        known: Every name that would have worked.

    Returns:
        The error, ready to be raised.
    """
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    hint = f"; did you mean {near[0]}?" if near else ""
    return InputError(f"no such {kind}: {name!r}{hint} (known: {', '.join(names) or 'none'})")
