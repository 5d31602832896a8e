"""Makes a call of the matrix, and says what is wrong with its answer."""

import json
import re
from typing import Any
from urllib.parse import urlencode

from django.conf import settings
from django.core.cache import cache
from django.http import HttpResponse
from django.test import Client

from api.problems import PROBLEMS
from tests.attacks.counting import Count
from tests.attacks.rows import Row
from tests.attacks.targets import Target
from tests.attacks.world import (
    ANONYMOUS,
    METHODS,
    OWNER,
    ROLES,
    UNSAFE,
    World,
    send,
    uncounted,
    whole,
)
from utils.middleware import API_PREFIX

TYPES = {f"/problems/{problem.slug}" for problem in PROBLEMS.values()}
POLICY = ("default-src 'self'", "object-src 'none'", "base-uri 'none'", "frame-ancestors 'none'")
UUID = re.compile("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
READING = tuple(method for method in METHODS if method not in UNSAFE)
CELLS = len(ROLES) * len(METHODS)


def faults_of_row(world: World, row: Row) -> list[str]:
    """Return what differs from the row, for every role and method.

    Each call that may change something has an address with records of its own. Those that only
    read share one, because they leave it as it is.
    """
    shared = world.address(row.address)
    return [
        f"{role} {method} {row.address}: {fault}"
        for methods in (READING, UNSAFE)
        for role in ROLES
        for method in methods
        for fault in _faults_of_cell(world, row, role, method, shared)
    ]


def _faults_of_cell(world: World, row: Row, role: str, method: str, shared: str) -> list[str]:
    cache.clear()  # limits on attempts are not what is looked at here
    address = shared if method in READING else world.address(row.address)
    client = world.client(role, address)
    data = world.filled(row.sends.get(method))
    moment, reads = world.moment(), method in READING
    before = world.bytes() if reads else {}
    answer = send(client, method, address, data)
    faults = faults_of(answer, address, private=role != ANONYMOUS and not row.public)
    expected = row.shape[role][method]
    if expected not in ("*", str(answer.status_code)):
        faults.append(f"{answer.status_code} instead of {expected}: {answer.content[:300]!r}")
    if world.changed_since(moment):
        if answer.status_code >= 400:
            faults.append("refused, and yet it changed something")
        elif reads and uncounted(world.bytes()) != uncounted(before):
            faults.append("a method that only reads changed a document")
    if method == "HEAD" and answer.content:
        faults.append("HEAD was answered with a body")
    return faults


def faults_of(answer: HttpResponse, address: str, *, private: bool = True) -> list[str]:
    """What is wrong with an answer whatever was asked: its status, its headers, its problem."""
    return [
        fault
        for fault, wrong in {
            f"status {answer.status_code}": answer.status_code >= 500,
            "no X-Request-ID": not UUID.fullmatch(answer.headers.get("X-Request-ID", "")),
            "no nosniff": answer.headers.get("X-Content-Type-Options") != "nosniff",
            "it tells what serves it": {"Server", "X-Powered-By"} & {*answer.headers},
            "405 without Allow": answer.status_code == 405 and "Allow" not in answer.headers,
            "429 without Retry-After": answer.status_code == 429
            and "Retry-After" not in answer.headers,
            "may be kept by a cache": private and _may_be_kept(answer),
            "a page without its policy": _is_page(answer) and not _is_strict(answer),
            "no problem of the API": address.startswith(API_PREFIX) and not _is_problem(answer),
        }.items()
        if wrong
    ]


def _may_be_kept(answer: HttpResponse) -> bool:
    return bool(answer.content) and "no-store" not in answer.headers.get("Cache-Control", "")


def _is_page(answer: HttpResponse) -> bool:
    return answer.headers.get("Content-Type", "").startswith("text/html")


def _is_strict(answer: HttpResponse) -> bool:
    policy = answer.headers.get("Content-Security-Policy", "")
    return (
        all(part in policy for part in POLICY)
        and "unsafe-inline" not in policy
        and "unsafe-eval" not in policy
        and answer.headers.get("Referrer-Policy") == "same-origin"
        and answer.headers.get("X-Frame-Options") == "DENY"
    )


def _is_problem(answer: Any) -> bool:
    """Whether an answer of the API, if it refuses, does so by a problem that is documented."""
    if answer.status_code < 400 or not answer.content:
        return True
    if answer.headers["Content-Type"] != "application/problem+json":
        return False
    problem = answer.json()
    return (
        problem["type"] in TYPES
        and problem["status"] == answer.status_code
        and problem["instance"] == f"urn:uuid:{answer.headers['X-Request-ID']}"
    )


class Attempt:
    """Hostile calls of one target, by its owner, and what is wrong with the answers.

    They must change no byte on disk, until they are said to be ones that may pass.
    """

    def __init__(self, world: World, target: Target) -> None:
        self.world, self.target = world, target
        self.faults: list[str] = []
        self.calls, self.may_pass = 0, False
        self.address, self.taken = self._fresh()
        world.browser(OWNER)  # signing in is a change of its own
        self.before = world.bytes()

    def _fresh(self) -> tuple[str, Any]:
        """An address with new records, and what a call that is accepted there sends."""
        row = self.target.row
        return self.world.address(row.address), self.world.filled(row.sends.get(self.target.method))

    def let_pass(self) -> None:
        """What follows may be accepted. What came before, was not."""
        if not self.may_pass and self.world.bytes() != self.before:
            self.faults.append("what is on disk was changed")
        self.may_pass = True

    def send(
        self,
        name: str,
        demanded: int | None,
        slug: str = "",
        *,
        body: bytes | None = None,
        media_type: str | None = None,
        address: str = "",
        query: str = "",
        **headers: str,
    ) -> HttpResponse:
        """One call; `demanded` is the status that it must get, None any below 500."""
        cache.clear()
        changes = self.may_pass and self.target.method in UNSAFE
        own, taken = self._fresh() if changes else (self.address, self.taken)
        address = address or own
        in_api = address.startswith(API_PREFIX)
        if body is None:
            body = json.dumps(taken).encode() if in_api else urlencode(taken or {}).encode()
        if media_type is None:
            usual = "application/json" if in_api else "application/x-www-form-urlencoded"
            media_type = self.target.row.media_type or usual
        client = self.world.program(OWNER) if in_api else self._browser()
        moment = self.world.moment()
        answer = whole(
            client.generic(
                self.target.method,
                address,
                body if self.target.method != "GET" else b"",
                CONTENT_TYPE=media_type,
                **({"QUERY_STRING": query} if query else {}),
                **headers,
            )
        )
        self.calls += 1
        self._look_at(name, demanded, slug, answer, address)
        if not self.may_pass and self.world.changed_since(moment):
            self.faults.append(f"{name}: it changed something")
        return answer

    def _browser(self) -> Client:
        """A browser with the proof of origin, in search of which Django reads the form first."""
        client = self.world.browser(OWNER, strict=True)
        client.cookies[settings.CSRF_COOKIE_NAME] = "a" * 32
        client.defaults["HTTP_X_CSRFTOKEN"] = "a" * 32
        return client

    def _look_at(
        self, name: str, demanded: int | None, slug: str, answer: Any, address: str
    ) -> None:
        told = faults_of(answer, address, private=not self.target.row.public)
        if demanded is not None and answer.status_code != demanded:
            told.append(f"{answer.status_code} instead of {demanded}: {answer.content[:200]!r}")
        elif slug and answer.json()["type"] != f"/problems/{slug}":
            told.append(f"{answer.json()['type']} instead of {slug}")
        self.faults += [f"{name}: {fault}" for fault in told]

    def conclude(self, count: Count, kind: str) -> None:
        """Fails with what was wrong; else counts the calls."""
        self.let_pass()
        assert not self.faults, f"{self.target}\n" + "\n".join(self.faults)
        assert self.calls
        count(kind, self.calls)
