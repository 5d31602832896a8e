"""Forms that no browser sends, to every page that takes one; and forms from elsewhere, to all."""

from collections.abc import Iterator
from itertools import product

import pytest
from django.conf import settings
from django.http import HttpResponse
from django.test.client import BOUNDARY, MULTIPART_CONTENT

from tests.attacks.counting import Count
from tests.attacks.judge import Attempt
from tests.attacks.routes import routes
from tests.attacks.rows import row_of
from tests.attacks.targets import FORM_TARGETS, Target
from tests.attacks.world import ANONYMOUS, OWNER, UNSAFE, World
from tests.examples import IN_SOAK
from utils.middleware import API_PREFIX, UPLOADS

pytestmark = pytest.mark.slow
every_form = pytest.mark.parametrize("target", FORM_TARGETS, ids=str)
ROUTES = sorted(routes())
every_route = pytest.mark.parametrize("route", ROUTES)
MEGABYTES = 20


def test_it_finds_forms() -> None:
    assert len(FORM_TARGETS) >= 10


@every_form
def test_forms_that_no_browser_sends(world: World, count: Count, target: Target) -> None:
    attempt = Attempt(world, target)
    attempt.send("1,001 fields", 400, body="&".join(f"a{n}=1" for n in range(1001)).encode())
    # Where archives are taken, it is read; but what is in it is no archive.
    too_much = 422 if target.row.address == UPLOADS else 413
    attempt.send("20 MB", too_much, body=_files(1, MEGABYTES << 20), media_type=MULTIPART_CONTENT)
    attempt.send("101 files", 400, body=_files(101, 1), media_type=MULTIPART_CONTENT)
    attempt.send("no boundary", 400, body=_files(1, 1), media_type="multipart/form-data")
    attempt.let_pass()  # what means nothing to the page, it takes for an empty form
    for fields in _hostile_fields(FORM_TARGETS.index(target)):
        body = b"&".join(name.encode() + b"=" + value for name, value in fields)
        attempt.send(repr(body[:40]), None, body=body)
    attempt.send("JSON", None, body=b'{"title": "A"}', media_type="application/json")
    attempt.send("half a part", None, body=_files(1, 1)[:60], media_type=MULTIPART_CONTENT)
    attempt.conclude(count, "hostile forms")


NAMES = ("title", "name", "username", "login", "password", "email", "next", "version", "q")
VALUES = (b"%00", b"%ED%A0%80", b"%FF%FE", b"%0d%0aSet-Cookie:a=b", b"A" * 100_000)


def _hostile_fields(number: int) -> Iterator[list[tuple[str, bytes]]]:
    """Yield the fields of each form: every name with every value in the soak.

    Otherwise all names with each value, and each name alone with one value, another one for the
    next target.
    """
    if IN_SOAK:
        yield from ([pair] for pair in product(NAMES, VALUES))
        return
    yield from ([(name, value) for name in NAMES] for value in VALUES)
    yield from ([(name, VALUES[(number + n) % len(VALUES)])] for n, name in enumerate(NAMES))


def _files(number: int, size: int) -> bytes:
    head = 'Content-Disposition: form-data; name="f{0}"; filename="../f{0}"\r\n\r\n'
    parts = [f"--{BOUNDARY}\r\n{head.format(n)}{'A' * size}\r\n" for n in range(number)]
    return "".join([*parts, f"--{BOUNDARY}--\r\n"]).encode()


@every_route
def test_nothing_is_done_without_proof_of_origin(world: World, count: Count, route: str) -> None:
    row = row_of(route)
    assert row is not None
    address = world.address(row.address)
    for role in FORGERS:
        world.browser(role)  # signing in is a change of its own
    before, faults = world.bytes(), []
    calls = list(_forgeries(ROUTES.index(route) if route in ROUTES else 0))
    for role, method, proof in calls:
        answer = _forged(world, role, method, address, proof)
        known = role != ANONYMOUS or not address.startswith(API_PREFIX)
        if answer.status_code != (403 if known else 401):
            faults.append(f"{role} {method} {address} with {proof}: {answer.status_code}")
    assert not faults, "\n".join(faults)
    assert world.bytes() == before
    count("forged calls", len(calls))


FORGERS = (ANONYMOUS, OWNER, "staff")  # the check does not ask who it is
FORGED = {
    "no token": {},
    "a token in the form only": {},
    "another token": {"HTTP_X_CSRFTOKEN": "b" * 32},
    "a strange origin": {"HTTP_X_CSRFTOKEN": "a" * 32, "HTTP_ORIGIN": "http://evil.example"},
    "no origin at all": {"HTTP_X_CSRFTOKEN": "a" * 32, "HTTP_ORIGIN": "null"},
}


def _forgeries(number: int) -> Iterator[tuple[str, str, str]]:
    """Yield roles, methods and proofs of a route: every combination in the soak.

    Otherwise each pair of a method and a proof once, and each pair with a role. Which role makes
    which call changes with the route, so all combinations are tried on a third of the routes.
    """
    if IN_SOAK:
        yield from product(FORGERS, UNSAFE, FORGED)
        return
    for m, method in enumerate(UNSAFE):
        for p, proof in enumerate(FORGED):
            yield FORGERS[(number + m + p) % len(FORGERS)], method, proof


def _forged(world: World, role: str, method: str, address: str, proof: str) -> HttpResponse:
    client, body = world.browser(role, strict=True), ""
    if proof == "a token in the form only":
        body = "csrfmiddlewaretoken=" + "a" * 32
    else:
        client.cookies[settings.CSRF_COOKIE_NAME] = "a" * 32
    kind = "application/x-www-form-urlencoded"
    return client.generic(method, address, body, kind, **FORGED[proof])


@every_form
def test_the_proof_opens(world: World, target: Target) -> None:
    """Or the refusals above would prove nothing."""
    client = world.browser(OWNER, strict=True)
    client.cookies[settings.CSRF_COOKIE_NAME] = "a" * 32
    address = world.address(target.row.address)
    answer = client.post(address, headers={"x-csrftoken": "a" * 32})
    assert answer.status_code != 403
