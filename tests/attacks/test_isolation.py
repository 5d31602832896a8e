"""Somebody else's record is told from one that does not exist by nothing: not by the status, not by
the body, not by the work that was done."""

import re
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from tests.attacks.counting import Count
from tests.attacks.targets import NUMBERED, NUMBERS, Target
from tests.attacks.world import STRANGER, World, reads, send
from utils.middleware import API_PREFIX

MISSING = "987654321"
# What differs between any two answers.
PASSING = re.compile(
    r'[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|"csrfmiddlewaretoken" value="\w+"|nonce="[^"]+"'
)
HIDDEN = [target for target in NUMBERED if target.row.shape[STRANGER][target.method] == "404"]


def test_it_finds_what_is_hidden() -> None:
    assert len(HIDDEN) >= 9


@pytest.mark.parametrize("role", [STRANGER, "staff"])
@pytest.mark.parametrize("target", HIDDEN, ids=str)
def test_hidden_object_responds_like_missing(
    world: World, count: Count, target: Target, role: str
) -> None:
    address = world.address(target.row.address)
    nowhere = NUMBERS.sub(MISSING, target.row.address)
    assert address != nowhere and "{" not in nowhere
    _seen(world, role, target, nowhere)  # what is read once only, such as the account, is read
    before = world.bytes()

    assert _seen(world, role, target, address) == _seen(world, role, target, nowhere)
    assert world.bytes() == before
    count("pairs of hidden and missing", 1)


def _seen(world: World, role: str, target: Target, address: str) -> tuple[Any, ...]:
    """What a stranger can see of an answer, and what the server did for it."""
    client = world.client(role, address)
    data = world.filled(target.row.sends.get(target.method))
    with reads() as asked, CaptureQueriesContext(connection) as queries:
        answer = send(client, target.method, address, data)
    assert answer.status_code == 404
    body = PASSING.sub("", answer.content.decode()).replace(address, "ADDRESS")
    headers = {name: value for name, value in answer.items() if name not in VARYING}
    return body, headers, asked, len(queries)


# An id, a nonce, a token, a clock.
VARYING = {"X-Request-ID", "Content-Security-Policy", "Content-Length", "Set-Cookie", "RateLimit"}


@pytest.mark.parametrize("target", HIDDEN, ids=str)
def test_an_owner_cannot_be_chosen(world: World, count: Count, target: Target) -> None:
    """Whoever says to be the owner, in the query, in a header or in the body, is not believed."""
    address, calls = world.address(target.row.address), 0
    client = world.client(STRANGER, address)
    before = world.bytes()
    for name in ("user_id", "owner", "user", "uid", "as", "sudo"):
        asked = send(client, target.method, f"{address}?{name}={world.owner}")
        told = client.generic(
            target.method, address, **{f"HTTP_X_{name.upper()}": str(world.owner)}
        )
        calls += 2
        # 415: what comes without a body is refused before anything is looked for.
        assert {asked.status_code, told.status_code} <= {400, 404, 415}, name
    assert world.bytes() == before
    count("claims to be somebody else", calls)


@pytest.mark.parametrize("collection", ["tasks", "projects", "models"])
def test_filters_find_ones_own_only(world: World, collection: str) -> None:
    world.address("{task}{project}{model}")
    for query in (f"user_id={world.owner}", "q=Owner", "limit=1000", f"id={1}"):
        answer = world.program(STRANGER).get(f"{API_PREFIX}{collection}/?{query}")
        assert answer.status_code in (200, 400)
        assert "Owner's" not in answer.content.decode()
