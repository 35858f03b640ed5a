"""The stand-in's ear and mouth: it reads a request, lets it meet its fault, and answers."""

from __future__ import annotations

import json
import socket
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from standin import routes  # noqa: F401  # registers them
from standin.faults import Fault
from standin.protocol import API, ROUTES, Refused, Request, find_route

if TYPE_CHECKING:
    from ibm_standin import IBMStandIn


class Server(ThreadingHTTPServer):
    """A loopback server that leaves no connection open when it stops."""

    daemon_threads = True

    def __init__(self, port: int, service: IBMStandIn) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self.service = service
        self._open: set[socket.socket] = set()

    def process_request(self, request: Any, client_address: Any) -> None:
        self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._open.discard(request)
        super().shutdown_request(request)

    def stop(self) -> None:
        self.shutdown()
        self.server_close()
        for connection in list(self._open):
            self.shutdown_request(connection)


class Handler(BaseHTTPRequestHandler):
    """Answers the requests of one connection, with whatever faults the plan holds for them."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Server

    def log_message(self, *args: Any) -> None:
        """Keep quiet: the requests are in `service.requests`."""

    def _handle(self) -> None:
        service, url = self.server.service, urlsplit(self.path)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path = url.path.removeprefix(API)
        service.requests.append((self.command, path))
        route, variables = find_route(self.command, path)
        faults = service.plan.meet(route)
        spoiled = next((fault for fault in faults if fault.concerns == "answer"), None)
        if spoiled is not None and spoiled.kind == "late" and not spoiled.acted:
            service.closing.wait(spoiled.seconds)
        if spoiled is None or spoiled.acted or spoiled.kind == "late":
            request = Request(service, self.headers, variables, parse_qs(url.query), body, faults)
            status, content = _act(route, request)
        if spoiled is None or spoiled.kind == "late":
            if spoiled is not None and spoiled.acted:
                service.closing.wait(spoiled.seconds)
            self._answer(status, content)
        elif spoiled.kind == "drop":
            self.close_connection = True
        else:
            self._answer(int(spoiled.kind), *_refusal(spoiled, path))

    do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = _handle

    def _answer(self, status: int, content: Any, headers: dict[str, str] | None = None) -> None:
        text = content if isinstance(content, str) else json.dumps(content)
        body = b"" if content is None else text.encode()
        try:
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            for name, value in (headers or {}).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)
        except OSError:
            self.close_connection = True  # whoever asked has gone


def _act(route: str, request: Request) -> tuple[int, Any]:
    """Do what is asked: the answer's status and content."""
    try:
        if route not in ROUTES:
            raise Refused(404, f"no such route: {route}")
        content = ROUTES[route](request)
    except Refused as refused:
        return refused.status, refused.body
    return (204 if content is None else 200), content


def _refusal(fault: Fault, path: str) -> tuple[Any, dict[str, str]]:
    """Content and headers of a refusal; IBM's identity service words its own in another way."""
    if path == "/identity/token":
        return {"errorCode": "BXNIM0001E", "errorMessage": fault.says}, {}
    headers = {"Retry-After": f"{fault.seconds:g}"} if fault.seconds else {}
    return Refused(int(fault.kind), fault.says).body, headers
