"""How a request finds what to do: routes, who may take them, and how a refusal is worded."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from standin.faults import Fault

if TYPE_CHECKING:
    from ibm_standin import IBMStandIn

API = "/experimental"  # with this word in QISKIT_IBM_URL the client takes the address as it stands
JWT_HEADER = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9"


class Refused(Exception):
    """An answer other than success, worded as IBM words it."""

    def __init__(self, status: int, message: str, code: int = 1200) -> None:
        super().__init__(message)
        self.status = status
        problem = {"code": code, "message": message, "solution": "See the documentation."}
        self.body: dict[str, Any] = {"errors": [problem], "trace": "0"}


@dataclass(frozen=True)
class Request:
    """What came: headers, the parts of the path that vary, the query, the body, and the faults that it meets."""

    service: IBMStandIn
    headers: Mapping[str, str]
    variables: tuple[str, ...]
    query: dict[str, list[str]]
    body: bytes
    faults: list[Fault]

    def content(self) -> dict[str, Any]:
        return json.loads(self.body) if self.body else {}

    @property
    def instance(self) -> str:
        """The instance that is meant."""
        return self.headers.get("Service-CRN", self.service.instance)

    def one(self, name: str) -> str | None:
        """A setting of the query that is given at most once."""
        return self.query.get(name, [None])[0]


Action = Callable[[Request], Any]
ROUTES: dict[str, Action] = {}
"""What to do, by method and path; an action gives the answer's content, or None for an answer without."""


def find_route(method: str, path: str) -> tuple[str, tuple[str, ...]]:
    """Tell which route a path takes, and what stands in it for {...}; an unknown path is its own route."""
    for route in ROUTES:
        pattern = re.escape(route).replace(r"\{id\}", "([^/]+)").replace(r"\ ", " ")
        if match := re.fullmatch(pattern, f"{method} {path}"):
            return route, match.groups()
    return f"{method} {path}", ()


def on(route: str, *, open_to_all: bool = False) -> Callable[[Action], Action]:
    """Register an action; unless it is open to all it asks for a token that we gave, and for an instance of ours."""

    def register(action: Action) -> Action:
        def guarded(request: Request) -> Any:
            if not request.headers.get("Authorization", "").startswith(f"Bearer {JWT_HEADER}."):
                raise Refused(401, "The token is missing or not valid.")
            if request.instance not in {request.service.instance, *request.service.open_instances}:
                raise Refused(403, "The instance is not authorised for this account.", 1211)
            return action(request)

        ROUTES[route] = action if open_to_all else guarded
        return action

    return register
