"""A client of the JSON API, and its errors."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from http.client import HTTPException, HTTPResponse
from typing import IO, Any, Final
from urllib.error import HTTPError, URLError
from urllib.parse import urlencode, urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

TIMEOUT: Final = 30  # seconds without receiving a byte
ATTEMPTS: Final = 3
_CHUNK: Final = 64 * 1024
_SEQUENCE: Final = "NeuralFlow-Sequence"  # response header: number of the commit, for undo

Query = Mapping[str, Any]


class Failure(Exception):
    """An error that ends a command. `code` is the exit code. The text says what to do."""

    code = 1


class Refused(Failure):
    """The server refused the call. `problem` is its problem details (RFC 9457), or {}."""

    def __init__(self, status: int, problem: Mapping[str, Any]) -> None:
        self.status, self.problem = status, problem
        super().__init__(_told(status, problem))
        if status == 401:
            self.code = 3


class Unreachable(Failure):
    """The server did not respond. Start it, or correct its address."""

    code = 4


class _NoRedirect(HTTPRedirectHandler):
    """Do not follow redirects, which would send the token to another server."""

    def redirect_request(self, *args: Any) -> None:
        return None


_open = build_opener(_NoRedirect).open


@dataclass(frozen=True)
class ApiClient:
    """The API of a server for the owner of a token. `server` is like "https://example.org"."""

    server: str
    token: str
    on_change: Callable[[int], None] | None = None  # called with the number of each change

    def get(self, path: str, query: Query | None = None) -> Any:
        """Return the JSON at a path under /accounts/api/."""
        return self._json("GET", path, query=query)

    def post(self, path: str, value: Any) -> Any:
        """Create a record, or run an action. Retries have no further effect (idempotency key)."""
        return self._json("POST", path, value, once=True)

    def patch(self, path: str, changes: Any) -> Any:
        """Change the given fields only."""
        return self._json("PATCH", path, changes, once=True)

    def delete(self, path: str) -> None:
        """Delete the record."""
        with self._call("DELETE", path):
            pass

    def pages(self, path: str, name: str, query: Query) -> Iterator[dict[str, Any]]:
        """Yield the records of a list, fetching its pages as needed."""
        while path:
            page = self.get(path, query)
            yield from page[name]
            path, query = str(page.get("next") or ""), {}

    def download(self, path: str, to: IO[bytes]) -> int:
        """Write the response to a file, and return its number of bytes."""
        with self._call("GET", path) as response:
            length, written = response.headers.get("Content-Length"), 0
            try:
                while chunk := response.read(_CHUNK):
                    written += to.write(chunk)
            except (HTTPException, TimeoutError, ConnectionError) as fault:
                raise _unreachable(self.server, fault) from fault
        if length is not None and written != int(length):
            raise Unreachable(f"Only {written} of {length} bytes came. Try again.")
        return written

    def upload(self, path: str, body: bytes, query: Query) -> Any:
        """Upload a zip archive, and return the report."""
        headers = {"Content-Type": "application/zip"}
        with self._call("POST", path, body, query=query, headers=headers) as response:
            return json.loads(response.read())

    def _json(
        self,
        method: str,
        path: str,
        value: Any = None,
        *,
        query: Query | None = None,
        once: bool = False,
    ) -> Any:
        headers, body = {}, None
        if value is not None:
            body = json.dumps(value).encode()
            merge = "application/merge-patch+json"
            headers["Content-Type"] = merge if method == "PATCH" else "application/json"
        if once:
            headers["Idempotency-Key"] = str(uuid.uuid4())
        attempts = ATTEMPTS if once or method == "GET" else 1
        for left in reversed(range(attempts)):
            try:
                with self._call(method, path, body, query=query, headers=headers) as response:
                    return json.loads(response.read())
            except ValueError as fault:
                strange = f"{self.server} does not answer as NeuralFlow does."
                raise Unreachable(strange) from fault
            except (Unreachable, HTTPException, OSError) as fault:
                if not left:
                    raise _unreachable(self.server, fault) from fault
        raise AssertionError("the last attempt returns or raises")

    def _call(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        *,
        query: Query | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> HTTPResponse:
        request = Request(
            self._address(path, query or {}),
            data=body,
            method=method,
            headers={
                "Authorization": f"Bearer {self.token}",
                "Accept": "*/*",
                "User-Agent": "nf",
                **(headers or {}),
            },
        )
        try:
            response: HTTPResponse = _open(request, timeout=TIMEOUT)
        except HTTPError as refusal:
            raise Refused(refusal.code, _problem_of(refusal)) from None
        except (URLError, HTTPException, OSError) as fault:
            raise _unreachable(self.server, fault) from fault
        number = response.headers.get(_SEQUENCE, "")
        if self.on_change is not None and number.isdecimal():
            self.on_change(int(number))
        return response

    def _address(self, path: str, query: Query) -> str:
        """Return the absolute URL. The server's `next` links are paths from its root."""
        parts = urlsplit(path)
        start = self.server + (parts.path if path.startswith("/") else f"/accounts/api/{path}")
        encoded = urlencode([pair for pair in query.items() if pair[1] is not None], doseq=True)
        more = "&".join(filter(None, [parts.query if path.startswith("/") else "", encoded]))
        return f"{start}?{more}" if more else start


def _unreachable(server: str, fault: Exception) -> Unreachable:
    if isinstance(fault, Unreachable):
        return fault
    return Unreachable(f"{server} cannot be reached: {getattr(fault, 'reason', None) or fault}.")


def _problem_of(refusal: HTTPError) -> Mapping[str, Any]:
    try:
        problem = json.loads(refusal.read(1_000_000))
    except (ValueError, OSError, HTTPException):
        return {}
    return problem if isinstance(problem, dict) else {}


def _told(status: int, problem: Mapping[str, Any]) -> str:
    """Format a problem for users: one line, and another for each fault if there are several."""
    if status == 401:
        return "The token is not accepted any more. Make another, then: nf login"
    if not problem:
        return f"The server answered {status}. Is this the address of a NeuralFlow?"
    faults = [
        f"  {str(fault.get('pointer', '')).lstrip('/') or 'the record'} {fault.get('detail', '')}"
        for fault in problem.get("errors", [])
        if isinstance(fault, dict)
    ]
    head = str(problem.get("title" if faults else "detail", "")) or f"Refused with {status}"
    return "\n".join([f"{head}:" if faults else head, *faults])
