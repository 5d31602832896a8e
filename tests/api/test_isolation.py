"""Charlie tries to reach what is Alice's."""

from pathlib import Path
from typing import Any

import pytest

from tests.api.conftest import Caller
from tests.folders import contents

TITLES = {"tasks": "title", "projects": "name", "models": "name"}


@pytest.fixture(params=TITLES)
def collection(request: pytest.FixtureRequest, alice: Caller) -> str:
    """A collection in which Alice has a record with the id 1, and nobody one with the id 9."""
    name: str = request.param
    alice.post(f"{name}/", {TITLES[name]: "Alice's secret"})
    return name


def told(answer: Any) -> dict[str, Any]:
    """The answer but for what no two answers share."""
    problem: dict[str, Any] = answer.json()
    problem.pop("instance")
    return problem


def test_it_works(collection: str, alice: Caller, charlie: Caller) -> None:
    assert alice.get(f"{collection}/1/").status_code == 200
    assert charlie.get(f"{collection}/1/").status_code == 404


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE"])
def test_hidden_record_responds_like_missing(
    collection: str, charlie: Caller, data_folder: Path, method: str
) -> None:
    before = contents(data_folder)
    data = {TITLES[collection]: "Charlie's"}
    strange, missing = (charlie.call(method, f"{collection}/{n}/", data) for n in (1, 9))

    assert strange.status_code == missing.status_code == 404
    assert told(strange) == told(missing)
    assert "secret" not in strange.content.decode()
    assert contents(data_folder) == before


def test_lists_and_figures_are_ones_own(collection: str, charlie: Caller) -> None:
    assert charlie.get(f"{collection}/").json() == {collection: [], "total": 0}
    dashboard = charlie.get("dashboard/")
    assert dashboard.json()["statistics"][f"total_{collection}"] == 0
    assert "secret" not in dashboard.content.decode()


def test_an_owner_cannot_be_chosen(collection: str, alice: Caller, charlie: Caller) -> None:
    data = {TITLES[collection]: "Planted", "user_id": alice.id}

    assert charlie.post(f"{collection}/", data).status_code == 422
    assert charlie.get(f"{collection}/?user_id={alice.id}").json() == {collection: []}
    assert charlie.get(f"{collection}/?owner={alice.id}").status_code == 400
    assert alice.get(f"{collection}/").json()["total"] == 1
