"""Makes a call of the matrix, and says what is wrong with its answer."""

import re
from typing import Any

from django.core.cache import cache
from django.http import HttpResponse

from accounts.api_problems import PROBLEMS
from tests.attacks.rows import Row
from tests.attacks.world import ANONYMOUS, METHODS, ROLES, UNSAFE, World, send, uncounted
from utils.middleware import API_PREFIX

TYPES = {f"/problems/{problem.slug}" for problem in PROBLEMS.values()}
POLICY = ("default-src 'self'", "object-src 'none'", "base-uri 'none'", "frame-ancestors 'none'")
UUID = re.compile("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
CELLS = len(ROLES) * len(METHODS)


def faults_of_row(world: World, row: Row) -> list[str]:
    """What differs from the row, for every role and method."""
    return [
        f"{role} {method} {row.address}: {fault}"
        for role in ROLES
        for method in METHODS
        for fault in _faults_of_cell(world, row, role, method)
    ]


def _faults_of_cell(world: World, row: Row, role: str, method: str) -> list[str]:
    cache.clear()  # limits on attempts are not what is looked at here
    address = world.address(row.address)
    client = world.client(role, address)
    before = world.bytes()
    answer = send(client, method, address, world.filled(row.sends.get(method)))
    faults = faults_of(answer, address, private=role != ANONYMOUS and not row.public)
    expected = row.shape[role][method]
    if expected not in ("*", str(answer.status_code)):
        faults.append(f"{answer.status_code} instead of {expected}: {answer.content[:300]!r}")
    after = world.bytes()
    if after != before and answer.status_code >= 400:
        faults.append("refused, and yet it changed what is on disk")
    elif after != before and method not in UNSAFE and uncounted(after) != uncounted(before):
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
