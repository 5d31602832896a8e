"""The page of a model, with charts of its metrics, and the comparison of two models."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_safe

from api.url_converters import record_id_of
from docstore import StoreError, id_of
from utils.middleware import StorageRequest
from web.activity_entries import ActivityLine, lines
from web.charts import metrics_of, part
from web.comparison import Table, pairs, table, value_text
from web.labels import FIELD_WORDS, Text, in_words
from web.panels import read_panel
from web.presenters import names_of, present, title_of
from workspace.schema.validation import COLLECTIONS
from workspace.users.activity_query import newest, of_record

CHANGES = 10
OFFERED_MAX = 100  # newest models offered for comparison

_SPEC = COLLECTIONS["models"]
_TABLES = ("hyperparameters", "parameters", "metadata")

Record = Mapping[str, Any]


@require_safe
@login_required
def model_detail(request: StorageRequest, record_id: int) -> HttpResponse:
    """Show a model's values and its latest changes."""
    manager, owner = request.json_storage, _owner(request)
    model = manager.get("models", owner, record_id)
    projects = names_of(COLLECTIONS["projects"], read_panel(manager, "projects", owner).records)
    shown = present(_SPEC, model, timezone.localtime(), projects)
    metrics = metrics_of(model.get("performance_metrics"))
    accuracy = shown.record["accuracy"]
    context = {
        "row": shown,
        "model": shown.record,
        "in_project": shown.record["project_id"] in projects,
        "accuracy": None if accuracy is None else part("accuracy", accuracy),
        "size": value_text(shown.record["training_data_size"]),
        "metrics": metrics,
        "told": table(in_words("performance_metrics", FIELD_WORDS), metrics.told),
        "tables": _tables(model),
        "changes": _changes(request, record_id),
        "others": [
            offer for offer in _offers(manager.view("models", owner)) if offer[0] != record_id
        ],
    }
    return render(request, "models/detail.html", context)


@require_safe
@login_required
def model_compare(request: StorageRequest) -> HttpResponse:
    """Compare the models `a` and `b`. If one is missing, ask for it."""
    manager, owner = request.json_storage, _owner(request)
    chosen = [
        manager.get("models", owner, number)
        for number in (_number(request.GET.get(name, "")) for name in ("a", "b"))
        if number is not None
    ]
    context: dict[str, Any] = {
        "offers": _offers(manager.view("models", owner), chosen),
        "a": chosen[0]["id"] if chosen and request.GET.get("a") else None,
        "b": chosen[-1]["id"] if chosen and request.GET.get("b") else None,
    }
    if len(chosen) == 2:
        first, second = chosen
        projects = read_panel(manager, "projects", owner).records
        every = pairs(_SPEC, first, second, names_of(COLLECTIONS["projects"], projects))
        only = "differing" in request.GET
        context |= {
            "first": present(_SPEC, first, timezone.localtime()),
            "second": present(_SPEC, second, timezone.localtime()),
            "pairs": [pair for pair in every if pair.differs or not only],
            "only": only,
            "differing": sum(pair.differs for pair in every),
        }
    return render(request, "models/compare.html", context)


def _owner(request: HttpRequest) -> int:
    return cast(int, request.user.pk)


def _number(text: str) -> int | None:
    """Return the id in a parameter, or None if it is empty. Raises `Http404` if it is invalid."""
    if not text:
        return None
    number = record_id_of(text)
    if number is None:
        raise Http404
    return number


def _tables(model: Record) -> list[Table]:
    """Return the objects of a model, and its unknown keys, as tables."""
    more = {name: value for name, value in model.items() if name not in _SPEC.by_name}
    named = [table(in_words(name, FIELD_WORDS), model.get(name)) for name in _TABLES]
    return [
        item for item in (*named, table(in_words("other_keys", FIELD_WORDS), more)) if item.rows
    ]


def _changes(request: StorageRequest, record_id: int) -> list[ActivityLine] | None:
    """Return the latest activities about the model, or None if they are unreadable."""
    manager, owner = request.json_storage, _owner(request)
    try:
        every = manager.past(owner)
    except StoreError:
        return None
    latest, _place = newest(every, [of_record(_SPEC.singular, record_id)], limit=CHANGES)
    return lines(manager, owner, latest)


def _offers(models: Sequence[Record], chosen: Sequence[Record] = ()) -> list[tuple[int, Text]]:
    """Return ids and names of the chosen models and of the newest ones."""
    offered = {
        number: title_of(_SPEC, model)
        for model in [*chosen, *list(reversed(models))[:OFFERED_MAX]]
        if (number := id_of(model)) is not None
    }
    return list(offered.items())
