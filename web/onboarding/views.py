"""Onboarding: sample data to add and remove."""

from datetime import date, timedelta
from typing import Any, cast

from django.contrib.auth.decorators import login_required
from django.http import HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from utils.middleware import StorageRequest, request_metadata
from web import undo
from web.redirects import safe_next
from workspace.sample_project import add_example, remove_example
from workspace.users.document import Activity


@require_POST
@login_required
def example_add(request: StorageRequest) -> HttpResponse:
    """Add the sample data in the language of the page."""
    activity = Activity("example_added", "Added the example project", request_metadata(request))
    project, parts = _example(timezone.localdate())
    owner = cast(int, request.user.pk)
    if add_example(request.json_storage, owner, project, parts, activity):
        undo.message_with_undo(request, _("The example project was added."))
    return HttpResponseRedirect(safe_next(request, reverse("dashboard")))


@require_POST
@login_required
def example_remove(request: StorageRequest) -> HttpResponse:
    """Remove the sample data, and nothing else."""
    activity = Activity("example_removed", "Removed the example project", request_metadata(request))
    if remove_example(request.json_storage, cast(int, request.user.pk), activity):
        undo.message_with_undo(request, _("The example was removed."))
    return HttpResponseRedirect(safe_next(request, reverse("dashboard")))


def _example(today: date) -> tuple[dict[str, Any], dict[str, list[dict[str, Any]]]]:
    project = {
        "name": _("Reading X-rays (example)"),
        "description": _("A classifier that tells fractures from shadows on images of hands."),
        "priority": "high",
        "technologies": ["PyTorch", "DICOM"],
        "start_date": _day(today, -21),
        "end_date": _day(today, 28),
    }
    return project, {"tasks": _tasks(today), "models": _models()}


def _day(today: date, days: int) -> str:
    return (today + timedelta(days=days)).isoformat()


def _tasks(today: date) -> list[dict[str, Any]]:
    return [
        {
            "title": _("Collect the images"),
            "status": "completed",
            "tags": ["data"],
            "due_date": _day(today, -9),
        },
        {
            "title": _("Train the baseline"),
            "description": _("A plain ResNet."),
            "status": "in_progress",
            "priority": "high",
            "due_date": _day(today, 0),
            "tags": ["training"],
            "checklist": [
                {"text": _("Split by patient"), "done": True},
                {"text": _("Fix the seed"), "done": True},
                {"text": _("Three runs"), "done": False},
            ],
        },
        {
            "title": _("Review the errors"),
            "status": "pending",
            "due_date": _day(today, 3),
            "tags": ["review"],
        },
        {
            "title": _("Summarize the week's results"),
            "status": "pending",
            "priority": "low",
            "due_date": _day(today, 4),
            "repeat": "FREQ=WEEKLY",
        },
    ]


def _models() -> list[dict[str, Any]]:
    def model(name: str, status: str, accuracy: float, rate: float, loss: list[float]) -> Any:
        return {
            "name": name,
            "model_type": "computer_vision",
            "status": status,
            "accuracy": accuracy,
            "training_data_size": 12_400,
            "hyperparameters": {"learning_rate": rate, "batch_size": 32, "epochs": 8},
            "performance_metrics": {"f1": round(accuracy / 100 - 0.02, 3), "loss": loss},
        }

    return [
        model("xray-resnet18", "archived", 88.1, 0.001, [0.69, 0.52, 0.44, 0.4, 0.38, 0.37]),
        model("xray-resnet50", "training", 93.4, 0.0003, [0.66, 0.41, 0.31, 0.26, 0.22, 0.2]),
    ]
