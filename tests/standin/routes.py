"""What the stand-in answers: IBM's REST interface, as far as qiskit-ibm-runtime speaks it."""

from __future__ import annotations

import base64
import json
import re
import time
import uuid
from datetime import datetime
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from standin.faults import DEVICE_EVENTS, JOB_ENDS, Fault
from standin.jobs import PENDING, Job

if TYPE_CHECKING:
    from ibm_standin import IBMStandIn

API = "/experimental"  # with this word in QISKIT_IBM_URL the client takes the address as it stands


class Refused(Exception):
    """An answer other than success."""

    def __init__(self, status: int, message: str, code: int = 1200) -> None:
        super().__init__(message)
        self.status = status
        self.body = {
            "errors": [{"code": code, "message": message, "solution": "See the documentation."}],
            "trace": "0",
        }


class Handler(BaseHTTPRequestHandler):
    """Answers one request, with whatever faults the plan holds for it."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    service: IBMStandIn

    def log_message(self, *args: Any) -> None:
        """Keep quiet: the requests are in `service.requests`."""

    def _handle(self) -> None:
        url = urlsplit(self.path)
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length)
        path = url.path.removeprefix(API)
        route = f"{self.command} {_template(path)}"
        faults = self.service.plan.meet(route)
        self.service.requests.append((self.command, path))
        about_answer = next((f for f in faults if f.kind not in (*DEVICE_EVENTS, *JOB_ENDS)), None)
        answer: tuple[int, Any] = (204, None)
        if about_answer is None or about_answer.acted or about_answer.kind == "late":
            try:
                answer = 200, self._act(path, parse_qs(url.query), body, faults)
            except Refused as refused:
                answer = refused.status, refused.body
        if about_answer is not None and self._spoil(about_answer, path):
            return
        self._answer(*answer)

    do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = _handle

    def _spoil(self, fault: Fault, path: str) -> bool:
        """Answer wrongly or not at all; False if the right answer shall still follow."""
        if fault.kind == "late":
            self.service.closing.wait(fault.seconds)
            return False
        if fault.kind == "drop":
            self.close_connection = True
            self.connection.close()
            return True
        if path == "/identity/token":  # IBM's identity service words its errors in its own way
            self._answer(int(fault.kind), {"errorCode": "BXNIM0001E", "errorMessage": fault.says})
        else:
            headers = {"Retry-After": f"{fault.seconds:g}"} if fault.seconds else {}
            self._answer(int(fault.kind), Refused(int(fault.kind), fault.says).body, headers)
        return True

    def _answer(self, status: int, content: Any, headers: dict[str, str] | None = None) -> None:
        body = content.encode() if isinstance(content, str) else json.dumps(content).encode()
        body = b"" if content is None else body
        try:
            self.send_response(204 if status == 200 and content is None else status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            for name, value in (headers or {}).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)
        except OSError:
            self.close_connection = True  # whoever asked has gone

    def _act(self, path: str, query: dict[str, list[str]], body: bytes, faults: list[Fault]) -> Any:
        """Do what is asked; the answer's content, or None for one without."""
        if path == "/identity/token":
            return self._token(parse_qs(body.decode()))
        self._check_token()
        if path == "/v3/resources/search":
            return {"items": self.service.instances(), "limit": 100}
        if path == "/standin-plan":
            return {
                "overview_ui": {"en": {"display_name": "Open"}},
                "metadata": {"pricing": {"type": "free"}},
            }
        if self.headers.get("Service-CRN") != self.service.instance:
            raise Refused(403, "The instance is not authorised for this account.", 1211)
        words = path.strip("/").split("/")
        content = json.loads(body) if body else {}
        match self.command, words:
            case "GET", ["backends"]:
                return {"devices": [_listed(d) for d in self.service.devices.values() if not d.retired]}
            case "GET", ["backends", name, what]:
                return self._device(name, what, query)
            case "GET", ["instances", "usage"]:
                used = sum(job.seconds for job in self.service.jobs.values())
                limit = self.service.usage_limit
                return {
                    "usage_consumed_seconds": used,
                    "usage_limit_seconds": limit,
                    "usage_limit_reached": used >= limit,
                }
            case "POST", ["jobs"]:
                return self._submit(content, faults)
            case "GET", ["jobs"]:
                return self._list(query)
            case _, ["jobs", job_id, *rest]:
                return self._job(job_id, rest, query, content)
            case _, ["sessions", *rest]:
                return self._session(rest, content)
        raise Refused(404, f"no route {self.command} {path}")

    def _token(self, form: dict[str, list[str]]) -> dict[str, Any]:
        if form.get("apikey") != [self.service.token]:
            raise _identity_refusal()
        now = int(time.time())
        claims = (
            base64.urlsafe_b64encode(json.dumps({"exp": now + 3600, "iat": now}).encode())
            .decode()
            .rstrip("=")
        )
        return {
            "access_token": f"{_JWT_HEADER}.{claims}.c2lnbmF0dXJl",
            "refresh_token": "none",
            "token_type": "Bearer",
            "expires_in": 3600,
            "expiration": now + 3600,
        }

    def _check_token(self) -> None:
        if not self.headers.get("Authorization", "").startswith(f"Bearer {_JWT_HEADER}."):
            raise Refused(401, "The token is missing or not valid.", 1200)

    def _device(self, name: str, what: str, query: dict[str, list[str]]) -> Any:
        device = self.service.devices.get(name)
        if device is None or device.retired:
            raise Refused(404, f"Backend {name} was not found.", 1215)
        if what == "configuration":
            return device.configuration
        if what == "properties":
            before = query.get("updated_before")
            return device.properties(datetime.fromisoformat(before[0]) if before else None)
        if what == "status":
            waiting = [j for j in self.service.jobs.values() if j.device is device and j.state == "Queued"]
            return {
                "state": True,
                "status": "internal" if device.paused else "active",
                "message": "paused" if device.paused else "available",
                "length_queue": device.queue_length + len(waiting),
                "backend_version": device.configuration.get("backend_version", "1.0.0"),
            }
        raise Refused(404, f"no route {self.path}")

    def _submit(self, content: dict[str, Any], faults: list[Fault]) -> dict[str, Any]:
        device = self.service.devices.get(content.get("backend", ""))
        if device is None or device.retired:
            raise Refused(404, f"Backend {content.get('backend')} was not found.", 1215)
        if content["program_id"] != "executor":
            raise Refused(404, f"Program {content['program_id']} was not found.", 1207)
        session = self.service.sessions.get(content.get("session_id") or "")
        if content.get("session_id") and (session is None or not session["accepting_jobs"]):
            raise Refused(400, "The session is closed.", 1217)
        end = next((fault for fault in faults if fault.kind in JOB_ENDS), None)
        job = Job(
            device,
            content["program_id"],
            content["params"],
            content.get("tags", []),
            content.get("session_id"),
            content.get("cost"),
            end.kind if end else None,
            end.says if end else "",
        )
        self.service.queue.add(job)
        for fault in faults:
            if fault.kind in DEVICE_EVENTS:
                self.service.happen(fault.kind, device)
        return {"id": job.id, "backend": device.name, "session_id": job.session_id}

    def _list(self, query: dict[str, list[str]]) -> dict[str, Any]:
        def one(name: str) -> str | None:
            return query.get(name, [None])[0]

        jobs = list(self.service.jobs.values())  # oldest first
        if one("sort") != "ASC":
            jobs.reverse()
        found = [
            job
            for job in jobs
            if set(query.get("tags", [])) <= set(job.tags)
            and one("backend") in (None, job.device.name)
            and one("program") in (None, job.program_id)
            and one("session_id") in (None, job.session_id)
            and one("pending") in (None, str(job.state in PENDING).lower())
            and (one("created_after") or "") <= job.timestamps["created"] <= (one("created_before") or "~")
        ]
        start, limit = int(one("offset") or 0), int(one("limit") or 200)
        page = found[start : start + limit]
        return {"jobs": [job.view(with_params=False) for job in page], "count": len(found), "limit": limit}

    def _job(self, job_id: str, rest: list[str], query: dict[str, list[str]], content: dict[str, Any]) -> Any:
        job = self.service.jobs.get(job_id)
        if job is None:
            raise Refused(404, f"Job {job_id} was not found.", 1291)
        match self.command, rest:
            case "GET", []:
                return job.view(with_params=query.get("exclude_params") != ["true"])
            case "GET", ["results"]:
                return job.result
            case "GET", ["logs"]:
                return ""
            case "GET", ["metrics"]:
                status = "pending" if job.state in PENDING else "final"
                usage = {"status": status, "qpu_charge_time_seconds": job.seconds, "seconds": job.seconds}
                return {"timestamps": job.timestamps, "usage": usage}
            case "POST", ["cancel"]:
                if not self.service.queue.cancel(job):
                    raise Refused(409, f"Job {job_id} has ended and cannot be cancelled.", 1292)
                return None
            case "PUT", ["tags"]:
                job.tags = content["tags"]
                return None
        raise Refused(404, f"no route {self.command} {self.path}")

    def _session(self, rest: list[str], content: dict[str, Any]) -> Any:
        if not rest:
            session_id = uuid.uuid4().hex[:20]
            self.service.sessions[session_id] = {
                "id": session_id,
                "backend_name": content.get("backend"),
                "mode": content.get("mode", "dedicated"),
                "max_ttl": content.get("max_ttl", 28800),
                "state": "open",
                "accepting_jobs": True,
            }
            return self.service.sessions[session_id]
        session = self.service.sessions.get(rest[0])
        if session is None:
            raise Refused(404, f"Session {rest[0]} was not found.", 1218)
        jobs = [job for job in self.service.jobs.values() if job.session_id == rest[0]]
        if self.command == "GET":
            return {**session, "elapsed_time": sum(job.seconds for job in jobs)}
        session.update(accepting_jobs=False, state="closed")
        if self.command == "DELETE":
            for job in jobs:
                self.service.queue.cancel(job)
        return None


_JWT_HEADER = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9"


def _identity_refusal() -> Refused:
    refused = Refused(400, "")
    refused.body = {"errorCode": "BXNIM0415E", "errorMessage": "Provided API key could not be found."}
    return refused


def _listed(device: Any) -> dict[str, Any]:
    return {
        "name": device.name,
        "qubits": device.num_qubits,
        "queue_length": device.queue_length,
        "is_simulator": False,
        "status": {"name": "paused" if device.paused else "online", "reason": "available"},
        "processor_type": device.configuration.get("processor_type", {}),
    }


def _template(path: str) -> str:
    return re.sub(r"^/(jobs|sessions|backends)/[^/]+", r"/\1/{id}", path)
