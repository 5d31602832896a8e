"""The page of a model, with its metrics as charts, and two models side by side."""

import re
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from accounts.models import User
from tests.web.pages import OLD_MODELS, text_of, write_document
from utils.json_storage import json_storage
from web.charts import HEIGHT, POINTS_MAX, WIDTH, curve, leaves, metrics_of
from web.comparison import pairs
from workspace.schema.validation import COLLECTIONS

RESNET = {
    "name": "resnet",
    "description": "Reads X-rays.",
    "status": "active",
    "accuracy": 93.4,
    "training_data_size": 12000,
    "parameters": {"weights": 25_600_000},
    "hyperparameters": {"lr": 0.1, "schedule": {"kind": "cosine"}},
    "performance_metrics": {
        "f1": 0.91,
        "loss": [0.9, 0.5, 0.25],
        "throughput": 1250.5,
        "validation": {"recall": 88},
        "note": "early",
    },
    "metadata": {"seed": 7},
}


@pytest.fixture
def browser(client: Client, alice: User) -> Client:
    client.force_login(alice)
    return client


def model(user: User, **changes: Any) -> int:
    return int(json_storage.create("models", user.pk, RESNET | changes)["id"])


def test_a_page_shows_all_that_a_model_holds(browser: Client, alice: User) -> None:
    number = model(alice)
    page = browser.get(f"/models/{number}/")
    words = text_of(page)
    for text in (
        "Reads X-rays.",
        "Active",
        "Classification",
        "93.4",
        "12,000",
        "weights 25,600,000",
        "lr 0.1",
        "schedule.kind cosine",
        "seed 7",
        "f1 0.91 of 1",
        "validation.recall 88 of 100",
        "0.9 → 0.25 over 3 steps (min 0.25, max 0.9)",
        "0.9, 0.5, 0.25",
        "throughput 1,250.5",
        "note early",
    ):
        assert text in words, text
    body = page.content.decode()
    assert f'href="/models/{number}/edit/?next=/models/{number}/"' in body
    assert f'href="/models/{number}/delete/"' in body
    assert 'points="6,6 160,' in body
    assert "style=" not in body and "<script>" not in body


def test_a_page_tells_its_latest_changes_and_no_others(browser: Client, alice: User) -> None:
    for name in ("resnet", "vit"):
        typed = {"name": name, "status": "draft", "model_type": "nlp"}
        assert browser.post("/models/new/", typed).status_code == 302
    number = 1
    json_storage.update_user_activity(alice.pk, "model_deleted", "", {"id": number, "owner": 99})
    json_storage.update_user_activity(alice.pk, "task_created", "", {"id": number})
    changes = browser.get(f"/models/{number}/").context["changes"]
    assert [str(line.said) for line in changes] == ["Added a model"]


def test_old_and_odd_models_are_shown(browser: Client, alice: User, data_folder: Path) -> None:
    odd = {
        "name": "<script>alert(1)</script>",
        "id": 2,
        "performance_metrics": {"a": [], "b": {}, "c": [1, "x"], "d": [True], "e": None, "f": -1},
        "group_id": 4,
    }
    models = [*OLD_MODELS["models"], odd]
    write_document(data_folder, f"models/models_{alice.pk}.json", {"models": models})
    assert browser.get("/models/1/").status_code == 200
    page = browser.get("/models/2/")
    assert b"<script>alert" not in page.content
    assert "group_id 4" in text_of(page)
    assert "c [1, &quot;x&quot;]" in page.content.decode() or '[1, "x"]' in text_of(page)
    assert browser.get("/models/compare/?a=1&b=2").status_code == 200


@pytest.mark.parametrize(
    "address", ["/models/{0}/", "/models/compare/?a={0}&b={0}", "/models/compare/?b={0}"]
)
def test_anothers_model_is_not_there(browser: Client, charlie: User, address: str) -> None:
    number = model(charlie)
    assert browser.get(address.format(number)).status_code == 404
    assert Client().get(address.format(number)).status_code == 302


def test_two_models_side_by_side(browser: Client, alice: User) -> None:
    first = model(alice)
    metrics = RESNET["performance_metrics"] | {"f1": 0.923, "extra": 1}
    second = model(alice, name="vit", accuracy=90, status="draft", performance_metrics=metrics)
    words = text_of(browser.get(f"/models/compare/?a={first}&b={second}"))
    assert "4 differences" in words
    assert "Status Active Draft ≠ differs" in words
    assert "Accuracy 93.4% 90% \N{MINUS SIGN}3.4" in words
    assert "Performance metrics: f1 0.91 0.923 +0.013" in words
    assert "Performance metrics: extra — 1 ≠ differs" in words
    assert "Hyperparameters: lr 0.1 0.1 same" in words
    narrowed = text_of(browser.get(f"/models/compare/?a={first}&b={second}&differing=yes"))
    assert "Accuracy 93.4% 90% \N{MINUS SIGN}3.4" in narrowed
    assert "Hyperparameters: lr" not in narrowed


def test_models_to_compare_are_chosen_from_the_list(browser: Client, alice: User) -> None:
    first = model(alice)
    assert b"/models/compare/" not in browser.get("/models/").content
    second = model(alice, name="vit")
    page = browser.get("/models/").content.decode()
    assert 'action="/models/compare/"' in page
    for name in ("a", "b"):
        form = page.partition(f'name="{name}"')[2].partition("</select>")[0]
        assert re.findall(r'value="(\d+)"', form) == [str(second), str(first)]
    assert f'href="/models/{first}/"' in page


@pytest.mark.parametrize("query", ["", "?a=", "?a=1", "?b=1"])
def test_a_comparison_that_lacks_a_model_asks_for_it(
    browser: Client, alice: User, query: str
) -> None:
    model(alice)
    assert "Choose two models to compare" in text_of(browser.get(f"/models/compare/{query}"))


@pytest.mark.parametrize("query", ["a=x", "a=1&b=-1", "a=1&b=%D9%A1", f"a={'9' * 400}", "a=99"])
def test_compare_invalid_model_responds_404(browser: Client, alice: User, query: str) -> None:
    model(alice)
    assert browser.get(f"/models/compare/?{query}").status_code == 404


def test_numbers_are_sorted_by_how_they_are_drawn() -> None:
    told = metrics_of(
        {"a": 0, "b": 1, "c": 1.5, "d": 100, "e": 101, "f": -0.1, "g": True, "h": [1], "i": "x"}
    )
    assert [(one.name, one.whole, one.share) for one in told.parts] == [
        ("a", 1, 0),
        ("b", 1, 100),
        ("c", 100, 1.5),
        ("d", 100, 100),
    ]
    assert [one.name for one in told.curves] == ["h"]
    assert told.told == {"e": 101, "f": -0.1, "g": True, "i": "x"}
    assert not metrics_of(["no", "object"]).any


def test_a_line_of_many_numbers_keeps_its_peak_and_its_ends() -> None:
    values = [0.5] * 10_000
    values[4321] = 9.0
    values[-1] = 0.25
    drawn = curve("loss", values)
    points = [tuple(map(float, point.split(","))) for point in drawn.points.split()]
    assert len(points) <= POINTS_MAX + 2
    assert min(down for _across, down in points) == 6  # the peak touches the upper margin
    assert (points[0][0], points[-1]) == (6, (WIDTH - 6, HEIGHT - 6))
    assert (drawn.highest, drawn.last, drawn.left) == ("9", "0.25", 9_900)


@pytest.mark.parametrize("values", [[3], [2, 2, 2], [-1e308, 1e308], [0, 1e-320], [10**15, -5]])
def test_every_line_stays_within_its_plane(values: list[float]) -> None:
    for point in curve("x", values).points.split():
        across, down = map(float, point.split(","))
        assert 0 <= across <= WIDTH and 0 <= down <= HEIGHT


def test_truth_is_no_number_and_one_is_one() -> None:
    spec = COLLECTIONS["models"]
    one, other = ({"metadata": {"x": value}} for value in (1, True))
    assert [pair.differs for pair in pairs(spec, one, other)][-1]
    assert not any(pair.differs for pair in pairs(spec, one, {"metadata": {"x": 1.0}}))
    assert list(leaves({"a": {}, "b": {"c": {"d": 1}}})) == [("a", {}), ("b.c.d", 1)]


def test_a_model_leads_to_its_project(browser: Client, alice: User) -> None:
    project = json_storage.create("projects", alice.pk, {"name": "X-rays"})["id"]
    number = model(alice, project_id=project)
    page = browser.get(f"/models/{number}/")
    assert "Project X-rays" in text_of(page)
    assert f'href="/projects/{project}/"' in page.content.decode()


def test_accuracies_are_compared_in_per_cent_however_they_are_noted(
    browser: Client, alice: User
) -> None:
    for name, accuracy in [("a", 0.84), ("b", 91.4), ("c", 0.95), ("d", 1), ("e", 2), ("f", None)]:
        model(alice, name=f"net {name}", accuracy=accuracy)
    words = text_of(browser.get("/models/?sort=accuracy"))
    assert re.findall(r"Delete net (\w)", words) == ["d", "c", "b", "a", "e", "f"]
    assert re.findall(r"accuracy (\S+)", words) == ["100%", "95%", "91.4%", "84%", "2%"]
    json_storage.update("models", alice.pk, 1, {"is_public": True})  # does nothing: not shown
    for address in ("/models/1/", "/models/1/edit/", "/models/", "/models/compare/?a=1&b=2"):
        assert "Public" not in text_of(browser.get(address))
    assert "Accuracy 84% (recorded as 0.84)" in text_of(browser.get("/models/1/"))
    words = text_of(browser.get("/models/compare/?a=1&b=2"))
    assert "Accuracy 84% 91.4% +7.4" in words


def test_models_stand_in_a_table(browser: Client, alice: User) -> None:
    model(alice)
    model(alice, name="vit", performance_metrics={"f1": 0.95}, accuracy=None)
    words = text_of(browser.get("/models/?view=table"))
    assert "Accuracy f1 loss" in words  # the metrics that most have, first
    assert "resnet Classification Active 93.4% 0.91 0.25" in words
    assert "vit Classification Active — 0.95 — —" in words
    assert '<table class="model-table"' not in browser.get("/models/").content.decode()
    page = browser.get("/models/?view=table&sort=accuracy&q=e").content.decode()
    assert 'name="view" value="table"' in page
    assert page.index("resnet") < page.index("vit")
    assert browser.get("/tasks/?view=table").context.get("table") is None
