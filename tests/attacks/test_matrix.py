"""Every address, for every role, by every method: what is expected stands in `rows`."""

import pytest
from django.urls import resolve

from tests.attacks.counting import Count
from tests.attacks.judge import CELLS, faults_of_row
from tests.attacks.routes import routes
from tests.attacks.rows import ROWS, row_of
from tests.attacks.world import World

ROUTES = sorted(routes())
ROUTES_MIN = 50  # fewer, and what looks for them has gone blind


def test_it_finds_the_addresses_that_everybody_knows() -> None:
    assert len(ROUTES) >= ROUTES_MIN
    assert {"", "dashboard/", "accounts/login/", "admin/", "accounts/api/tasks/"} <= {*ROUTES}


@pytest.mark.parametrize("route", ROUTES)
def test_a_route(world: World, count: Count, route: str) -> None:
    row = row_of(route)
    assert row is not None, (
        f"The route {route!r} has no row. Say in tests/attacks/rows.py what it answers to whom: "
        "ROWS[route] = Row(an address of it, a shape, what accepted calls send)."
    )
    assert resolve(world.address(row.address).partition("?")[0]).route == route
    faults = faults_of_row(world, row)
    assert not faults, "\n".join(faults)
    count("cells of the matrix", CELLS)


def test_no_row_outlives_its_route() -> None:
    assert {*ROWS} <= {*ROUTES}
