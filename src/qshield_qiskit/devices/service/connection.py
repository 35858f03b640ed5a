"""The one door to IBM's service: open it, find a device."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from qiskit.providers.exceptions import QiskitBackendNotFoundError
from qiskit_ibm_runtime import IBMBackend, QiskitRuntimeService
from qiskit_ibm_runtime.accounts import AccountManager
from qiskit_ibm_runtime.api.exceptions import RequestsApiError
from qiskit_ibm_runtime.exceptions import IBMInputValueError, RuntimeJobNotFound

from qshield_qiskit.devices.service.account import account_source
from qshield_qiskit.devices.service.errors import (
    ANOTHER_INSTANCE,
    NO_ACCOUNT,
    TWO_WAYS,
    ServiceError,
    speaking,
)
from qshield_qiskit.devices.service.patience import Patience, access_token, bound, insist, passing
from qshield_qiskit.devices.snapshot import fake_devices
from qshield_qiskit.errors import unknown

ONLINE = "online"

NOT_FOUND = 404
"""The answer of an instance that does not have what was asked for."""


@dataclass(frozen=True)
class Listed:
    """A device as the service lists it.

    Attributes:
        name: Such as "ibm_torino".
        num_qubits: Number of qubits.
        queue_length: How many jobs wait for it.
        status: "online", or what keeps it from running jobs.
    """

    name: str
    num_qubits: int
    queue_length: int
    status: str

    def __str__(self) -> str:
        remark = "" if self.status == ONLINE else f", {self.status}"
        return f"{self.name} ({self.num_qubits} qubits{remark})"


class Service(QiskitRuntimeService):  # type: ignore[misc]  # the client ships no types
    """IBM's service as its own client speaks to it, with the patience of people.

    Args:
        patience: How long to wait for it.
    """

    def __init__(self, patience: Patience) -> None:
        self._patience = patience
        self._closed: set[str] = set()  # instances that the account sees and may not use
        super().__init__(instance="auto")  # the account's own where it names one, else all, without a warning

    @property
    def _active_api_client(self) -> Any:
        """The connection in use; the client makes one for each instance, and puts each here before its use."""
        return self._bound_client

    @_active_api_client.setter
    def _active_api_client(self, client: Any) -> None:
        bound(client, self._patience)
        self._bound_client = client

    def _discover_backends_from_instance(self, instance: str) -> list[tuple[str, bool]]:
        """List an instance's devices; the client's own calls an instance invalid when the network is down."""
        self._get_or_create_cloud_client(instance)
        try:
            devices = self._active_api_client.list_backends(True)
        except RequestsApiError as error:
            if passing(error):
                raise
            devices = []  # an instance that is not ours to use
            self._closed.add(instance)
        self._backends_info_per_instance[instance] = devices
        return [(device["name"], device.get("class") == "mock") for device in devices]

    def listing(self) -> list[Listed]:
        """List the devices of all instances of the account that it may use, by name."""
        items = self._of_all_instances(lambda instance: self._api_clients[instance].list_backends())
        devices = {item["name"]: item for item in items if item.get("class") != "mock"}
        return [
            Listed(name, item["qubits"], item.get("queue_length", 0), item["status"]["name"])
            for name, item in sorted(devices.items())
        ]

    def tagged(self, tag: str) -> list[Any]:
        """List the jobs with a tag on all instances of the account that it may use, the oldest first."""
        active = self._active_api_client
        try:
            found = self._of_all_instances(
                lambda instance: self.jobs(job_tags=[tag], limit=20, descending=False, instance=instance)
            )
        finally:
            self._active_api_client = active  # the client goes on with the instance that it asked last
        return sorted(found, key=lambda job: job.creation_date)

    def job(self, job_id: str) -> Any:
        """Find a job on whichever instance of the account has it.

        Args:
            job_id: Its id.

        Raises:
            RuntimeJobNotFound: Every instance that was open to the account from the beginning says that it has none.
            RequestsApiError: Those that answered have none, and another one did not answer, or refused to.
        """
        active, errors = self._active_api_client, []
        try:
            for instance, client in self._api_clients.items():
                self._active_api_client = client
                try:
                    return self._decode_job(client.job_get(job_id, exclude_params=True))
                except RequestsApiError as error:
                    if error.status_code != NOT_FOUND and instance not in self._closed:
                        errors.append(error)
        finally:
            self._active_api_client = active
        if errors:  # what may pass says more than a refusal
            raise next(filter(passing, errors), errors[0])
        raise RuntimeJobNotFound(f"Job not found: {job_id}")

    def _of_all_instances(self, ask: Callable[[str], list[Any]]) -> list[Any]:
        """Put together what each instance answers, except for those that refuse, unless all do."""
        answers, refused = [], None
        for instance in self._api_clients:
            try:
                answers.append(ask(instance))
            except RequestsApiError as error:
                if passing(error):
                    raise
                refused = error
        if refused and not answers:
            raise refused
        return [item for answer in answers for item in answer]


def open_service(patience: Patience | None = None) -> Service:
    """Open the service with the account from the environment or the saved one.

    Args:
        patience: How long to wait for it, now and in every later conversation; seconds, not minutes, by default.

    Returns:
        The client's service; call it within `speaking`.

    Raises:
        ServiceError: No account, a wrong key, no network, a wrong instance.
    """
    patience = patience or Patience()
    with speaking():
        account = _account()
        # Whatever goes wrong when the client signs in, it says "invalid token", after a minute. So sign in first.
        access_token(account.get_iam_authentificator().token_manager, patience)
        try:
            return insist(lambda: Service(patience), patience)
        except IBMInputValueError as error:
            if not account.instance:
                raise
            has = ", ".join(instance["name"] for instance in account.list_instances()) or "none"
            raise ServiceError(
                f"the account has no instance {account.instance!r} (it has: {has}); {ANOTHER_INSTANCE}"
            ) from error


def _account() -> Any:
    """The account in use, as the client finds it."""
    try:
        account = AccountManager.get() if account_source() else None
        if account is not None:
            account.get_iam_authentificator()  # checks the form of the API key
    except (KeyError, TypeError, OSError, ValueError) as error:
        raise ServiceError(f"the account cannot be used ({error}); {TWO_WAYS}") from None
    if account is None:
        raise ServiceError(NO_ACCOUNT)
    return account


def find_device(service: Service, name: str | None = None, num_qubits: int = 1) -> IBMBackend:
    """Find a device of the account. Its queue may be paused, see `is_paused`.

    Args:
        service: The open service.
        name: Its name; None takes the least busy one that is large enough, a paused one last.
        num_qubits: How many qubits it must have.

    Returns:
        The device, as the client describes it.

    Raises:
        ServiceError: There is none: unknown or retired, or too small. The line says which others would do.
    """
    with speaking():
        listed = service.listing()
        large = sorted(
            (device for device in listed if device.num_qubits >= num_qubits),
            key=lambda device: (device.status != ONLINE, device.queue_length),
        )
        if name is None:
            if not large:
                raise ServiceError(
                    f"no device of this account has {num_qubits} qubits; it has {_names(listed)}"
                )
            name = large[0].name
        chosen = next((device for device in listed if device.name == name), None)
        if chosen is None:
            raise _no_such_device(name, listed)
        if chosen not in large:
            raise ServiceError(f"{chosen} is too small for {num_qubits}; large enough: {_names(large)}")
        try:
            return service.backend(name)
        except QiskitBackendNotFoundError as error:
            others = _names([device for device in large if device is not chosen])
            raise ServiceError(
                f"{name} is listed but does not say what it is; it may just have been retired; others: {others}"
            ) from error


def is_paused(device: IBMBackend) -> bool:
    """Tell whether a device takes jobs but works off none until IBM resumes its queue."""
    with speaking(device.name):
        status = device.status()
    return not status.operational or status.status_msg != "active"


def _no_such_device(name: str, listed: list[Listed]) -> ServiceError:
    """A device that the account does not have; perhaps it is retired, and its snapshot is left."""
    line = str(unknown("device of this account", name, [device.name for device in listed]))
    snapshot = f"fake_{name.removeprefix('ibm_')}"
    left = f"; its snapshot is left: backend={snapshot}" if snapshot in fake_devices() else ""
    return ServiceError(line + left)


def _names(devices: list[Listed]) -> str:
    return ", ".join(map(str, devices)) or "none"
