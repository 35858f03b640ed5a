"""What IBM's service did not do, each in one line that says what to do about it."""

from __future__ import annotations

import contextlib
import os
import textwrap
from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

import requests
from ibm_cloud_sdk_core import ApiException
from qiskit.providers.exceptions import QiskitBackendNotFoundError
from qiskit_ibm_runtime.accounts import AccountManager
from qiskit_ibm_runtime.accounts.exceptions import AccountNotFoundError
from qiskit_ibm_runtime.exceptions import (
    IBMError,
    RuntimeInvalidStateError,
    RuntimeJobFailureError,
    RuntimeJobMaxTimeoutError,
    RuntimeJobNotFound,
    RuntimeJobTimeoutError,
)

from qshield_qiskit.devices.service.account import SAVED, account_source
from qshield_qiskit.devices.service.patience import RATE_LIMIT, SERVER_ERRORS, causes, status_of
from qshield_qiskit.errors import InputError, UnavailableError

PLATFORM = "https://quantum.cloud.ibm.com"

TWO_WAYS = (
    "set QISKIT_IBM_TOKEN to the API key and QISKIT_IBM_INSTANCE to the instance, or save both once with "
    f"QiskitRuntimeService.save_account(token=..., instance=...); keys are made at {PLATFORM}"
)

NO_ACCOUNT = f"no IBM Quantum account is known on this machine; {TWO_WAYS}"

ANOTHER_INSTANCE = (
    f"set QISKIT_IBM_INSTANCE to the name or CRN of one that it has ({PLATFORM}/instances), or leave it unset to "
    "use them all"
)

_CLIENTS_ERRORS = (
    IBMError,
    ApiException,
    QiskitBackendNotFoundError,
    RuntimeJobFailureError,
    RuntimeJobTimeoutError,
    requests.RequestException,
)


class ServiceError(InputError):
    """IBM's service did not do what it was asked; the line says why, and what to do."""


class UnansweredError(ServiceError, UnavailableError):
    """The service gave no answer, or one that a later attempt may change.

    Whether it did what it was asked is not known: a submission that ends so may have become a job, which
    its tag finds.
    """


class JobNotFoundError(ServiceError):
    """The service knows no such job."""


class JobEndedError(ServiceError, UnavailableError):
    """A job came to an end without a result.

    Attributes:
        end: "failed", "cancelled" or "too long".
    """

    def __init__(self, message: str, end: str) -> None:
        super().__init__(message)
        self.end = end


@contextlib.contextmanager
def speaking(about: str = "") -> Iterator[None]:
    """Turn every exception of IBM's client into a `ServiceError`; others pass.

    Args:
        about: What the conversation is about, such as "job d1abc" or "ibm_torino"; the line begins with it.

    Raises:
        ServiceError: One line that says what to do; the API key is never in it.
    """
    try:
        yield
    except _CLIENTS_ERRORS as error:
        translated = translate(error)
        translated.args = (without_secrets(f"{about}: {translated}" if about else str(translated)),)
        tells = any(without_secrets(str(cause)) != str(cause) for cause in causes(error))
        raise translated from (None if tells else error)  # a traceback shows the causes, too


def translate(error: BaseException) -> ServiceError:
    """Word an exception of IBM's client.

    Args:
        error: One of the client, of IBM's SDK or of requests.

    Returns:
        The error to raise instead.
    """
    for kind, word in _BY_KIND.items():
        if isinstance(error, kind):
            return word(error)
    status = status_of(error)
    if status is not None:
        return _by_status(status, error)
    if any(isinstance(cause, requests.RequestException) for cause in causes(error)):
        return _no_answer(error)
    return ServiceError(f"IBM's client says: {_message(error)}")


def _by_status(status: int, error: BaseException) -> ServiceError:
    says = _server_says(error)
    if status == RATE_LIMIT:
        wait = next((found for found in map(_retry_after, causes(error)) if found), "a minute")
        return UnansweredError(
            f"IBM's service has had too many requests from this account{says}; try again in {wait}"
        )
    if status in SERVER_ERRORS:
        return UnansweredError(
            f"IBM's service answers with an error of its own (HTTP {status}){says}; try again in some minutes, "
            f"and see {PLATFORM}/announcements if it lasts"
        )
    signing_in = any(isinstance(cause, ApiException) for cause in causes(error))
    if status == 401 or (signing_in and status in (400, 403)):
        return ServiceError(f"IBM does not accept the API key from {_where_from()}{says}; {TWO_WAYS}")
    if status == 403:
        return ServiceError(f"the account may not use this instance{says}; {ANOTHER_INSTANCE}")
    return ServiceError(f"IBM's service refuses this (HTTP {status}){says}")


def _no_answer(error: BaseException) -> UnansweredError:
    """Tell which machine did not answer, and in what way."""
    urls = [getattr(getattr(cause, "request", None), "url", None) for cause in causes(error)]
    host = next((urlsplit(url).netloc for url in urls if url), "IBM's service")
    names = {type(cause).__name__ for cause in causes(error)}
    way = next((way for name, way in _WAYS.items() if name in names), "no answer")
    return UnansweredError(
        f"{host} cannot be reached ({way}); check the network, the VPN or the proxy (HTTPS_PROXY) and try again"
    )


_WAYS = {
    "ProxyError": "the proxy does not let us through",
    "SSLError": "its certificate cannot be verified",
    "NameResolutionError": "its name cannot be resolved",
    "ConnectionRefusedError": "it refuses the connection",
    "RemoteDisconnected": "it closed the connection without an answer",
    "ConnectionResetError": "it closed the connection without an answer",
    "ReadTimeoutError": "it does not answer in time",
    "ProtocolError": "it broke off the conversation",
    "ConnectTimeoutError": "it takes no connection",
    "NewConnectionError": "it takes no connection",
}
"""What exceptions mean, of requests, urllib3 and Python; the first that is found in a chain counts."""


def _no_account(error: BaseException) -> ServiceError:
    return ServiceError(NO_ACCOUNT)


def _job_failed(error: BaseException) -> ServiceError:
    reason = textwrap.shorten(_message(error).removeprefix("Unable to retrieve job result. "), 300)
    return JobEndedError(f"the job failed at IBM: {reason}", "failed")


def _job_too_long(error: BaseException) -> ServiceError:
    return JobEndedError(
        "the job ran longer than it may and was stopped; send fewer images or shots at once, or raise its time limit",
        "too long",
    )


def _job_in_wrong_state(error: BaseException) -> ServiceError:
    if "was cancelled" in _message(error):
        return JobEndedError(
            "the job was cancelled and has no result; submit it again if it is wanted", "cancelled"
        )
    return ServiceError("the job has ended and cannot be cancelled any more; fetch its result instead")


def _still_waiting(error: BaseException) -> ServiceError:
    return UnansweredError("the job has not ended yet; it stays in the queue, fetch it later")


def _job_not_found(error: BaseException) -> ServiceError:
    return JobNotFoundError(
        "IBM knows no such job in this instance; check QISKIT_IBM_INSTANCE, or whether it was deleted"
    )


_BY_KIND: dict[type[BaseException], Callable[[BaseException], ServiceError]] = {
    AccountNotFoundError: _no_account,
    RuntimeJobMaxTimeoutError: _job_too_long,
    RuntimeJobFailureError: _job_failed,
    RuntimeInvalidStateError: _job_in_wrong_state,
    RuntimeJobTimeoutError: _still_waiting,
    RuntimeJobNotFound: _job_not_found,
}
"""What to say by the kind of exception; where the kind says too little, its HTTP status decides."""


def _message(error: BaseException) -> str:
    """The client's own words, on one line."""
    return " ".join(str(getattr(error, "message", None) or error).split())


def _server_says(error: BaseException) -> str:
    """The service's own words behind an answer, in brackets; nothing if there are none."""
    for cause in causes(error):
        response = getattr(cause, "response", None)
        response = getattr(cause, "http_response", None) if response is None else response
        if response is None:
            continue
        try:
            content = response.json()
            first = content.get("errors", [content])[0]
        except (ValueError, AttributeError, LookupError):
            continue
        said = first.get("message") or first.get("errorMessage")
        if said:
            return f" ({' '.join(str(said).split()).rstrip('.')})"
    return ""


def _retry_after(cause: BaseException) -> str:
    """How long the service asks to wait."""
    seconds = getattr(getattr(cause, "response", None), "headers", {}).get("Retry-After", "")
    return f"{seconds} s" if seconds.isdigit() else ""


def _where_from() -> str:
    try:
        source = account_source()
    except (ValueError, KeyError, OSError):
        source = None
    token = os.environ.get("QISKIT_IBM_TOKEN", "")
    spaced = ", which begins or ends with white space" if token != token.strip() else ""
    return f"{source or SAVED}{spaced}"


def without_secrets(text: str) -> str:
    """Blank the API key of the account in use wherever it stands."""
    secrets = [os.environ.get("QISKIT_IBM_TOKEN")]
    with contextlib.suppress(Exception):  # no account, or a broken file: then there is nothing to hide
        secrets.append(AccountManager.get().token)
    for secret in secrets:
        if secret and secret.strip():
            text = text.replace(secret, "***").replace(secret.strip(), "***")
    return text
