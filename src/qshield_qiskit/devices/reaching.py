"""Asking the service again when it did not answer, and telling in one line when it said no."""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

from qiskit_ibm_runtime.api.exceptions import RequestsApiError
from qiskit_ibm_runtime.exceptions import IBMNotAuthorizedError
from requests import RequestException

from qshield_qiskit.errors import InputError

Answer = TypeVar("Answer")

NO_ANSWER = -1

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Waiting:
    """How long to wait for what, in seconds.

    Args:
        poll: Between two looks at a job, at first.
        longest_poll: Between two looks at a job that takes hours.
        settle: For how long a job that was just sent may be missing from the service's list of jobs.
        unreachable: For how long the service may give no answer before we give up.
    """

    poll: float = 1.0
    longest_poll: float = 30.0
    settle: float = 10.0
    unreachable: float = 300.0


def status_of(error: BaseException) -> int | None:
    """Tell which HTTP status is behind an error of the client.

    Returns:
        The status, `NO_ANSWER`, or None if the error is not about the service.
    """
    for link in _chain(error):
        if isinstance(link, IBMNotAuthorizedError):
            return 401
        if isinstance(link, RequestsApiError):
            return int(link.status_code)
        if isinstance(link, json.JSONDecodeError):
            return NO_ANSWER  # half an answer
        if isinstance(link, RequestException):
            return NO_ANSWER if link.response is None else int(link.response.status_code)
    return None


def is_transient(status: int) -> bool:
    """Tell whether the same request may well succeed a little later."""
    return status == NO_ANSWER or status in {408, 425, 429} or status >= 500


def reach(
    action: Callable[[], Answer], what: str, waiting: Waiting, say: Callable[[str], None] = _LOG.info
) -> Answer:
    """Do something with the service, again if it does not answer. For what may be done twice without harm.

    Args:
        action: What to do.
        what: The same in words, after "to".
        waiting: For how long to try.
        say: Takes a line on every failure that is lived with.

    Raises:
        InputError: The service refused, or gave no answer for too long.
    """
    started, pause = time.monotonic(), 0.25
    while True:
        try:
            return action()
        except Exception as error:
            status = status_of(error)
            if status is None:
                raise
            if not is_transient(status):
                raise refused(error, what) from error
            if time.monotonic() - started + pause > waiting.unreachable:
                raise unreachable(error, what) from error
            say(f"IBM's service does not answer the request to {what} ({brief(error)}); trying again")
        time.sleep(pause)
        pause = min(2 * pause, waiting.longest_poll)


def refused(error: BaseException, what: str) -> InputError:
    """Word the error for a request that the service understood and declined."""
    return InputError(f"IBM's service refuses to {what}: {brief(error)}")


def unreachable(error: BaseException, what: str) -> InputError:
    """Word the error for a service that does not answer."""
    return InputError(
        f"IBM's service does not answer the request to {what} ({brief(error)}); nothing is lost: type the same command "
        "again later"
    )


def brief(error: BaseException) -> str:
    """Say what the service said, in a line, with no token in it."""
    link = next(
        (link for link in _chain(error) if isinstance(link, RequestsApiError | RequestException)), error
    )
    text = " ".join(str(getattr(link, "message", link)).split())
    return without_token(text)[:300].rstrip(".")


def without_token(text: str) -> str:
    """Blot out the token that the environment holds."""
    token = os.environ.get("QISKIT_IBM_TOKEN")
    return text.replace(token, "***") if token else text


def _chain(error: BaseException | None) -> Iterator[Any]:
    """Follow an error to what caused it; the client hides causes by `from None`."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
