"""How long IBM's service is waited for, and which requests are repeated.

Left alone, the client repeats a request for 15 s, follows any Retry-After, may wait for an answer for ever, and
after one failed sign-in waits 60 s before the next (IBM's SDK paces its requests for access tokens). It also
repeats a submission after a server error, when nobody knows whether the job was accepted. Here everything ends
within seconds, and what could act twice is never repeated silently.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Self, TypeVar

import requests
from qiskit_ibm_runtime.api.auth import CloudAuth
from requests.adapters import HTTPAdapter
from urllib3.exceptions import MaxRetryError
from urllib3.util.retry import Retry

T = TypeVar("T")

SERVER_ERRORS = frozenset({500, 502, 503, 504, 520, 521, 522, 524})
"""Answers that a moment later may be others."""

RATE_LIMIT = 429
"""The answer to too many requests; what was asked was not done."""


@dataclass(frozen=True)
class Patience:
    """How long to wait, in seconds.

    Attributes:
        connect: For each address of the service to take a connection.
        read: For an answer to begin.
        slow: For an answer to begin where the service has much to do: a submission, results.
        total: Until a request that fails is not repeated any more.
    """

    connect: float = 2.0
    read: float = 8.0
    slow: float = 60.0
    total: float = 4.0


def causes(error: BaseException | None) -> Iterator[BaseException]:
    """Give an exception and whatever brought it about, the latest first."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def status_of(error: BaseException) -> int | None:
    """Tell the HTTP status behind an exception of the client; None if there was no answer."""
    for cause in causes(error):
        response = getattr(cause, "response", None)
        status = getattr(cause, "status_code", None) or getattr(response, "status_code", None)
        if isinstance(status, int) and status > 0:
            return status
    return None


def passing(error: BaseException) -> bool:
    """Whether what failed may succeed in a moment: a server error, a rate limit, no connection."""
    status = status_of(error)
    if status is not None:
        return status == RATE_LIMIT or status in SERVER_ERRORS
    return any(isinstance(cause, requests.ConnectionError | requests.Timeout) for cause in causes(error))


def insist(action: Callable[[], T], patience: Patience) -> T:
    """Do something that changes nothing at the service, again if it fails for a passing reason.

    Raises:
        Exception: What `action` raised last.
    """
    deadline, pause = time.monotonic() + patience.total, 0.1
    while True:
        try:
            return action()
        except Exception as error:
            if not passing(error) or time.monotonic() + pause > deadline:
                raise
        time.sleep(pause)
        pause *= 2


def bound(client: Any, patience: Patience) -> None:
    """Give a client of the service's interface this patience.

    Args:
        client: A `RuntimeClient` of qiskit-ibm-runtime; one that is bound already stays as it is.
        patience: How long it waits from now on.
    """
    session = client._session
    if isinstance(session.auth, _SignIn):
        return
    for scheme in ("https://", "http://"):
        session.mount(scheme, _Adapter(patience))
    if isinstance(session.auth, CloudAuth):
        session.auth = _SignIn.like(session.auth, patience)


def access_token(manager: Any, patience: Patience) -> str:
    """Sign in, or give the access token that still holds.

    Args:
        manager: A token manager of IBM's SDK.
        patience: How long to try.

    Raises:
        requests.RequestException: IBM's identity service cannot be reached.
        ibm_cloud_sdk_core.ApiException: It refuses the API key.
    """
    manager.http_config = {"timeout": (patience.connect, patience.read)}

    def once() -> str:
        manager.request_time = 0  # or a failed attempt would count as one under way, for 60 s
        token: str = manager.get_token()
        return token

    return insist(once, patience)


class _SignIn(CloudAuth):  # type: ignore[misc]  # the client ships no types
    """The client's sign-in, which says why it fails instead of sending the API key in place of a token."""

    patience = Patience()

    @classmethod
    def like(cls, other: CloudAuth, patience: Patience) -> Self:
        made = cls(other.api_key, other.crn, other.private, other.proxies, other.verify)
        made.patience = patience
        return made

    def __deepcopy__(self, memo: object) -> Self:
        return self.like(self, self.patience)

    def get_headers(self) -> dict[str, str]:
        token = access_token(self.tm, self.patience)
        return {"Service-CRN": self.crn, "Authorization": f"Bearer {token}"}


class _Adapter(HTTPAdapter):
    """Sends requests with bounded time-outs, repeated until a deadline."""

    __attrs__ = [*HTTPAdapter.__attrs__, "patience"]  # noqa: RUF012  # what is kept of it when it is copied

    def __init__(self, patience: Patience) -> None:
        super().__init__()
        self.patience = patience

    def send(
        self,
        request: requests.PreparedRequest,
        stream: bool = False,
        timeout: object = None,
        verify: bool | str = True,
        cert: str | tuple[str, str] | None = None,
        proxies: dict[str, str] | None = None,
    ) -> requests.Response:
        """Send a request; the client's own time-outs do not count."""
        slow = request.method == "POST" or str(request.url).endswith("/results")
        read = self.patience.slow if slow else self.patience.read
        self.max_retries = _Retries.until(time.monotonic() + self.patience.total)
        return super().send(request, stream, (self.patience.connect, read), verify, cert, proxies)


class _Retries(Retry):
    """Repeats a rate-limited request, one that reached nobody, and one that changes nothing; until a deadline."""

    deadline = float("inf")  # of time.monotonic

    @classmethod
    def until(cls, deadline: float) -> Self:
        made = cls(total=10, backoff_factor=0.1, status_forcelist=SERVER_ERRORS, raise_on_status=False)
        made.deadline = deadline
        return made

    def new(self, **changed: Any) -> Self:
        made = super().new(**changed)
        made.deadline = self.deadline
        return made

    def is_retry(self, method: str, status_code: int, has_retry_after: bool = False) -> bool:
        return status_code == RATE_LIMIT or super().is_retry(method, status_code, has_retry_after)

    def increment(self, *arguments: Any, **details: Any) -> Self:
        following = super().increment(*arguments, **details)
        response, error = details.get("response"), details.get("error")
        pause = (response and following.get_retry_after(response)) or following.get_backoff_time()
        if time.monotonic() + pause > self.deadline:
            raise MaxRetryError(details["_pool"], "", error) from error
        return following


def _not_about_our_retries(record: logging.LogRecord) -> bool:
    """Keep urllib3's warnings of each repeated request from the user, who is told how it ends."""
    return not any(isinstance(argument, _Retries) for argument in record.args or ())


logging.getLogger("urllib3.connectionpool").addFilter(_not_about_our_retries)
