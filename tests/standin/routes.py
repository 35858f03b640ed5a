"""What the stand-in answers: IBM's REST interface, as far as qiskit-ibm-runtime speaks it."""

from __future__ import annotations

import base64
import json
import time
import uuid
from datetime import datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

from standin.device import StandInDevice
from standin.jobs import PENDING, Job
from standin.protocol import JWT_HEADER, Refused, Request, on

if TYPE_CHECKING:
    from ibm_standin import IBMStandIn

PLAN = "standin-plan"


# Accounts


@on("POST /identity/token", open_to_all=True)
def token(request: Request) -> Any:
    if parse_qs(request.body.decode()).get("apikey") != [request.service.token]:
        refused = Refused(400, "")
        refused.body = {"errorCode": "BXNIM0415E", "errorMessage": "Provided API key could not be found."}
        raise refused
    now = int(time.time())
    claims = base64.urlsafe_b64encode(json.dumps({"exp": now + 3600, "iat": now}).encode()).decode()
    return {
        "access_token": f"{JWT_HEADER}.{claims.rstrip('=')}.c2lnbmF0dXJl",
        "refresh_token": "none",
        "token_type": "Bearer",
        "expires_in": 3600,
        "expiration": now + 3600,
    }


@on("POST /v3/resources/search")
def instances(request: Request) -> Any:
    def item(crn: str, name: str) -> Any:
        doc = {"extensions": {"allocations": 1}}
        return {"crn": crn, "name": name, "service_plan_unique_id": PLAN, "doc": doc, "tags": []}

    closed = [item(crn, f"closed{i}") for i, crn in enumerate(request.service.closed_instances)]
    others = [item(crn, f"open{i}") for i, crn in enumerate(request.service.open_instances)]
    return {"items": [*closed, item(request.service.instance, "standin"), *others], "limit": 100}


@on(f"GET /{PLAN}")
def plan(request: Request) -> Any:
    return {"overview_ui": {"en": {"display_name": "Open"}}, "metadata": {"pricing": {"type": "free"}}}


@on("GET /instances/usage")
def usage(request: Request) -> Any:
    used = sum(job.seconds for job in request.service.jobs.values())
    limit = request.service.usage_limit
    return {
        "usage_consumed_seconds": used,
        "usage_limit_seconds": limit,
        "usage_limit_reached": used >= limit,
    }


# Devices


@on("GET /backends")
def backends(request: Request) -> Any:
    devices = [device for device in request.service.devices.values() if not device.retired]
    return {
        "devices": [
            {
                "name": device.name,
                "qubits": device.num_qubits,
                "queue_length": _queue_length(request.service, device),
                "is_simulator": False,
                "status": {"name": "paused" if device.paused else "online", "reason": "available"},
                "processor_type": device.configuration.get("processor_type", {}),
            }
            for device in devices
        ]
    }


@on("GET /backends/{id}/configuration")
def configuration(request: Request) -> Any:
    return _device(request, request.variables[0]).configuration


@on("GET /backends/{id}/properties")
def properties(request: Request) -> Any:
    before = request.one("updated_before")
    return _device(request, request.variables[0]).properties(before and datetime.fromisoformat(before))


@on("GET /backends/{id}/status")
def status(request: Request) -> Any:
    device = _device(request, request.variables[0])
    return {
        "state": True,
        "status": "internal" if device.paused else "active",
        "message": "paused" if device.paused else "available",
        "length_queue": _queue_length(request.service, device),
        "backend_version": device.configuration.get("backend_version", "1.0.0"),
    }


# Jobs


@on("POST /jobs")
def submit(request: Request) -> Any:
    content = request.content()
    device = _device(request, content.get("backend", ""))
    if content["program_id"] != "executor":
        raise Refused(404, f"Program {content['program_id']} was not found.", 1207)
    session_id = content.get("session_id")
    if session_id and not request.service.sessions.get(session_id, {}).get("accepting_jobs"):
        raise Refused(400, "The session is closed.", 1217)
    end = next((fault for fault in request.faults if fault.concerns == "job"), None)
    job = Job(device, content["program_id"], content["params"], content.get("tags", []), request.instance)
    job.session_id, job.cost = session_id, content.get("cost")
    job.end, job.says = (end.kind, end.says) if end else (None, "")
    request.service.queue.add(job)
    for fault in request.faults:
        if fault.concerns == "device":
            request.service.happen(fault.kind, device)
    return {"id": job.id, "backend": device.name, "session_id": session_id}


@on("GET /jobs")
def jobs(request: Request) -> Any:
    found = list(request.service.jobs.values())  # oldest first
    if request.one("sort") != "ASC":
        found.reverse()
    found = [job for job in found if _wanted(job, request)]
    start, limit = int(request.one("offset") or 0), int(request.one("limit") or 200)
    page = [job.view(with_params=False) for job in found[start : start + limit]]
    return {"jobs": page, "count": len(found), "limit": limit, "offset": start}


@on("GET /jobs/{id}")
def job(request: Request) -> Any:
    return _job(request).view(with_params=request.one("exclude_params") != "true")


@on("GET /jobs/{id}/results")
def results(request: Request) -> Any:
    return _job(request).result


@on("GET /jobs/{id}/logs")
def logs(request: Request) -> Any:
    return "" if _job(request) else None


@on("GET /jobs/{id}/metrics")
def metrics(request: Request) -> Any:
    found = _job(request)
    state = "pending" if found.state in PENDING else "final"
    charged = {"status": state, "qpu_charge_time_seconds": found.seconds, "seconds": found.seconds}
    return {"timestamps": found.timestamps, "usage": charged}


@on("POST /jobs/{id}/cancel")
def cancel(request: Request) -> Any:
    if not request.service.queue.cancel(_job(request)):
        raise Refused(409, "The job has ended and cannot be cancelled.", 1292)


@on("PUT /jobs/{id}/tags")
def tags(request: Request) -> Any:
    _job(request).tags = request.content()["tags"]


# Batches and sessions


@on("POST /sessions")
def open_session(request: Request) -> Any:
    content = request.content()
    session = {
        "id": uuid.uuid4().hex[:20],
        "backend_name": content.get("backend"),
        "mode": content.get("mode", "dedicated"),
        "max_ttl": content.get("max_ttl", 28800),
        "state": "open",
        "accepting_jobs": True,
    }
    request.service.sessions[session["id"]] = session
    return session


@on("GET /sessions/{id}")
def session(request: Request) -> Any:
    found = _session(request)
    return {**found, "elapsed_time": sum(job.seconds for job in _jobs_of(request))}


@on("PATCH /sessions/{id}")
def close_session(request: Request) -> Any:
    _session(request).update(accepting_jobs=False, state="closed")


@on("DELETE /sessions/{id}/close")
def cancel_session(request: Request) -> Any:
    close_session(request)
    for job in _jobs_of(request):
        request.service.queue.cancel(job)


def _device(request: Request, name: str) -> StandInDevice:
    device = request.service.devices.get(name)
    if device is None or device.retired:
        raise Refused(404, f"Backend {name} was not found.", 1215)
    return device


def _queue_length(service: IBMStandIn, device: StandInDevice) -> int:
    waiting = [job for job in service.jobs.values() if job.device is device and job.state == "Queued"]
    return device.queue_length + len(waiting)


def _job(request: Request) -> Job:
    found = request.service.jobs.get(request.variables[0])
    if found is None or found.instance != request.instance:
        raise Refused(404, f"Job {request.variables[0]} was not found.", 1291)
    return found


def _wanted(job: Job, request: Request) -> bool:
    """Whether a job meets the query; IBM gives the jobs that have all of the tags asked for."""
    return (
        job.instance == request.instance
        and set(request.query.get("tags", [])) <= set(job.tags)
        and request.one("backend") in (None, job.device.name)
        and request.one("program") in (None, job.program_id)
        and request.one("session_id") in (None, job.session_id)
        and request.one("pending") in (None, str(job.state in PENDING).lower())
        and datetime.fromisoformat(job.timestamps["created"])
        >= _moment(request, "created_after", "0001-01-01")
        and datetime.fromisoformat(job.timestamps["created"])
        <= _moment(request, "created_before", "9999-12-31")
    )


def _moment(request: Request, name: str, otherwise: str) -> datetime:
    return datetime.fromisoformat(request.one(name) or f"{otherwise}T00:00:00+00:00")


def _session(request: Request) -> dict[str, Any]:
    found = request.service.sessions.get(request.variables[0])
    if found is None:
        raise Refused(404, f"Session {request.variables[0]} was not found.", 1218)
    return found


def _jobs_of(request: Request) -> list[Job]:
    return [job for job in request.service.jobs.values() if job.session_id == request.variables[0]]
