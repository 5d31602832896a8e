"""Every address, spelt or asked for as nobody should."""

import pytest
from django.urls import resolve

from tests.attacks.counting import Count
from tests.attacks.hostile import NO_NUMBERS, QUERIES
from tests.attacks.judge import Attempt
from tests.attacks.rows import ANYBODYS_OWN_BUTTON
from tests.attacks.targets import (
    NUMBERED,
    NUMBERS,
    Target,
    of_the_administration,
    of_the_api,
    targets,
)
from tests.attacks.world import UNSAFE, World

pytestmark = pytest.mark.slow
KIND = "hostile addresses"
# The administration, all of one make, by what changes something there and what does not.
EVERY = [
    target
    for target in targets("GET", *UNSAFE)
    if target.method in ("GET", "POST") or not of_the_administration(target)
]
FAR_AWAY = "987654321"
NOWHERE = "/accounts/api/nothing/here/"
PROBES = ("/livez", "/readyz")
STRANGE_HOSTS = ("evil.example", "testserver.evil.example", "testserver@evil.example", "a b", "")
FORWARDED = {
    "HTTP_X_FORWARDED_HOST": "evil.example",
    "HTTP_FORWARDED": "host=evil.example;proto=https",
    "HTTP_X_FORWARDED_PROTO": "https",
    "HTTP_X_ORIGINAL_URL": "/admin/",
    "HTTP_X_REWRITE_URL": "/admin/",
    "HTTP_X_HTTP_METHOD_OVERRIDE": "DELETE",
}


def test_it_finds_addresses_with_numbers() -> None:
    assert len(NUMBERED) >= 9


@pytest.mark.parametrize("target", NUMBERED, ids=str)
def test_address_invalid_number_responds_404(world: World, count: Count, target: Target) -> None:
    attempt = Attempt(world, target)
    # Who takes no invitations of an account is not told whether there is one.
    takes_any = target.row.shape is ANYBODYS_OWN_BUTTON
    for text in NO_NUMBERS if takes_any else [*NO_NUMBERS, FAR_AWAY]:
        spelt = NUMBERS.sub(lambda _found, text=text: text, target.row.address)
        attempt.send(text[:40], 404, address=world.address(spelt))
    attempt.conclude(count, KIND)


@pytest.mark.parametrize("target", EVERY, ids=str)
def test_strange_hosts_and_queries(world: World, count: Count, target: Target) -> None:
    attempt = Attempt(world, target)
    for host in STRANGE_HOSTS:
        # Probes are answered by whatever name a load balancer calls the server.
        status = 200 if target.row.address in PROBES else 400
        attempt.send(f"Host: {host}", status, HTTP_HOST=host)
    for query in _strange_queries(target) if _reads_queries(target) else []:
        attempt.send(query[:40], 400, query=query)
    attempt.let_pass()  # pages take no notice of what they do not know
    for query in [] if _reads_queries(target) else QUERIES:
        attempt.send(query[:40], None, query=query)
    _forward(attempt)
    attempt.conclude(count, KIND)


def _reads_queries(target: Target) -> bool:
    return of_the_api(target) and target.row.address != NOWHERE


def _strange_queries(target: Target) -> list[str]:
    """Those that the operation has no parameter for; `import/` takes an owner."""
    operations = getattr(resolve(target.row.address).func, "operations", {})
    known = operations[target.method].parameters if target.method in operations else ()
    taken = {parameter.name for parameter in known}
    return [query for query in QUERIES if query.partition("=")[0] not in taken]


def _forward(attempt: Attempt) -> None:
    """Only a trusted proxy is believed; here there is none."""
    plain = attempt.send("not forwarded", None).status_code
    answer = attempt.send("forwarded", plain, **FORWARDED)
    told = repr(dict(answer.headers)) + answer.content.decode("utf-8", "replace")
    if "evil.example" in told:
        attempt.faults.append("the answer repeats a strange host")
