"""The one exception that means "the input was wrong", and how its line is worded."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from pydantic import ValidationError

MOST_NAMES = 20
"""An error lists no more names than this, those nearest to what came."""


class InputError(ValueError):
    """Something the user gave cannot be used.

    Its message is one line that says what came, what was expected and what to try. The command line prints that
    line and exits with `exit_status`; any other exception is a bug of ours and keeps its traceback.
    """

    exit_status: ClassVar[int] = 2


class UnavailableError(InputError):
    """What was asked is in order, but a server or a job did not give it: the same command may succeed later."""

    exit_status: ClassVar[int] = 1


class BudgetSpent(UnavailableError):  # noqa: N818, it is an end and no error
    """A budget of queries or of a device's time is spent; what was done until then is kept, and can be gone on with.

    Its message is one line that says which budget, and how to go on.
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
    shown = (
        names if len(names) <= MOST_NAMES else [*difflib.get_close_matches(name, names, MOST_NAMES, 0), "..."]
    )
    return InputError(f"no such {kind}: {name!r}{hint} (known: {', '.join(shown) or 'none'})")


def first_problem(error: ValidationError, what: str) -> str:
    """Word the first of pydantic's complaints about a JSON file as key, value and rule.

    Args:
        error: The complaints.
        what: What the file holds, such as "a calibration".
    """
    problem = error.errors()[0]
    key = ".".join(str(part) for part in problem["loc"])
    if problem["type"] == "json_invalid":
        return f"broken or truncated JSON ({problem['msg'].removeprefix('Invalid JSON: ')})"
    if problem["type"] == "missing":
        return f"the key {key} is missing"
    rule = problem["msg"].removeprefix("Value error, ")
    if not key:
        return rule if problem["type"] == "value_error" else f"{what} is one JSON object"
    return f"{key} = {json.dumps(problem['input'], default=str)[:60]}: {rule[0].lower()}{rule[1:]}"
