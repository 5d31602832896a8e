"""Bugs are planted, and each is seen: attacks that nothing gives way to might look at nothing."""

import json
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.urls import URLPattern, path
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods, require_safe
from pytest_django.fixtures import Settings

from neuralflow import urls
from tests.attacks import rows, test_forms, test_isolation
from tests.attacks.counting import Count
from tests.attacks.judge import Attempt, faults_of, faults_of_row
from tests.attacks.rows import OWN_LIST, OWN_PAGE, RECORD_FORM, Row
from tests.attacks.targets import Target
from tests.attacks.world import World
from utils.json_storage import json_storage

Plant = Callable[[URLPattern, Row], Row]


@pytest.fixture
def plant(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Plant:
    """Adds an address with a row to those that there are."""

    def add(pattern: URLPattern, row: Row) -> Row:
        planted = ModuleType("planted_urls")
        planted.urlpatterns = [pattern, *urls.urlpatterns]  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, "planted_urls", planted)
        monkeypatch.setitem(rows.ROWS, str(pattern.pattern), row)
        settings.ROOT_URLCONF = "planted_urls"
        return row

    return add


def _titles(owner: int) -> HttpResponse:
    return HttpResponse(str([task["title"] for task in json_storage.list("tasks", owner)]))


def _task_of_anybody(record_id: int) -> HttpResponse:
    """A task by its number alone, whoever's it is."""
    for owner in json_storage.owners("tasks"):
        if any(task["id"] == record_id for task in json_storage.list("tasks", owner)):
            return HttpResponse("found")
    raise Http404


def test_it_works(world: World, plant: Plant) -> None:
    @require_safe
    @login_required
    def sound(request: HttpRequest) -> HttpResponse:
        return _titles(request.user.pk)

    assert faults_of_row(world, plant(path("planted/", sound), Row("/planted/", OWN_PAGE))) == []


def test_a_page_for_everybody(world: World, plant: Plant) -> None:
    @require_safe
    def open_to_all(request: HttpRequest) -> HttpResponse:
        return _titles(world.owner)

    row = plant(path("planted/", open_to_all), Row("/planted/", OWN_PAGE))
    assert any("anonymous GET" in fault for fault in faults_of_row(world, row))


def test_answers_without_what_protects_them() -> None:
    page = HttpResponse("mine", headers={"Cache-Control": "max-age=600", "Server": "us/1.0"})
    assert {*faults_of(page, "/planted/")} == {
        "no X-Request-ID",
        "no nosniff",
        "it tells what serves it",
        "may be kept by a cache",
        "a page without its policy",
    }
    assert "no problem of the API" in faults_of(HttpResponse("no", status=404), "/accounts/api/x/")


def test_a_get_that_changes(world: World, plant: Plant) -> None:
    @require_safe
    @login_required
    def changes(request: HttpRequest) -> HttpResponse:
        json_storage.create("tasks", request.user.pk, {"title": "Made by looking"})
        return HttpResponse("looked")

    row = plant(path("planted/", changes), Row("/planted/", OWN_PAGE))
    assert any("only reads" in fault for fault in faults_of_row(world, row))


def test_a_refusal_that_changes(world: World, plant: Plant) -> None:
    @login_required
    @require_http_methods(["GET", "HEAD", "POST"])
    def refuses(request: HttpRequest) -> HttpResponse:
        json_storage.create("tasks", world.owner, {"title": "Made and refused"})
        raise Http404

    row = plant(path("planted/", refuses), Row("/planted/", RECORD_FORM))
    assert any("refused, and yet" in fault for fault in faults_of_row(world, row))


def test_a_page_without_proof_of_origin(world: World, plant: Plant, count: Count) -> None:
    plant(path("planted/", csrf_exempt(lambda request: HttpResponse("done"))), Row("/planted/", {}))
    with pytest.raises(AssertionError, match="with no token: 200"):
        test_forms.test_nothing_is_done_without_proof_of_origin(world, count, "planted/")


def test_an_owner_taken_from_the_query(world: World, plant: Plant, count: Count) -> None:
    @login_required
    def believes(request: HttpRequest, record_id: int) -> HttpResponse:
        owner = int(request.GET.get("user_id", request.user.pk))
        json_storage.get("tasks", owner, record_id)
        return HttpResponse("found")

    row = plant(
        path("planted/<record_id:record_id>/", believes), Row("/planted/{task}/", RECORD_FORM)
    )
    with pytest.raises(AssertionError, match="user_id"):
        test_isolation.test_an_owner_cannot_be_chosen(world, count, Target("", row, "GET"))


def test_a_record_of_anybodys(world: World, plant: Plant, count: Count) -> None:
    @login_required
    def gives(request: HttpRequest, record_id: int) -> HttpResponse:
        return _task_of_anybody(record_id)

    row = plant(path("planted/<record_id:record_id>/", gives), Row("/planted/{task}/", RECORD_FORM))
    _is_told_from_what_is_missing(world, count, row)


@pytest.mark.parametrize("tells", ["more work", "another body"])
def test_a_refusal_that_tells(world: World, plant: Plant, count: Count, tells: str) -> None:
    @login_required
    def tell(request: HttpRequest, record_id: int) -> HttpResponse:
        if any(task["id"] == record_id for task in json_storage.list("tasks", world.owner)):
            if tells == "another body":
                return HttpResponse("not yours", status=404)
            json_storage.list("projects", world.owner)
        raise Http404

    row = plant(path("planted/<record_id:record_id>/", tell), Row("/planted/{task}/", RECORD_FORM))
    _is_told_from_what_is_missing(world, count, row)


def _is_told_from_what_is_missing(world: World, count: Count, row: Row) -> None:
    with pytest.raises(AssertionError):
        test_isolation.test_hidden_object_responds_like_missing(
            world, count, Target("", row, "GET"), "stranger"
        )


def test_a_body_that_is_believed(world: World, plant: Plant, count: Count) -> None:
    @csrf_exempt
    def naive(request: HttpRequest) -> HttpResponse:
        value: Any = json.loads(request.body)
        return JsonResponse(json_storage.create("tasks", world.owner, value), status=201)

    address = "accounts/api/planted/"
    row = plant(path(address, naive), Row(f"/{address}", OWN_LIST, {"POST": {"title": "A"}}))
    attempt = Attempt(world, Target(address, row, "POST"))
    attempt.send("truncated", 400, body=b'{"title": "A')
    attempt.send("duplicate", 400, body=b'{"title": "A", "title": "B"}')
    assert any("status 500" in fault for fault in attempt.faults)
    with pytest.raises(AssertionError, match="201 instead of 400"):
        attempt.conclude(count, "planted")


def test_an_address_without_a_row() -> None:
    assert rows.row_of("planted/") is None
