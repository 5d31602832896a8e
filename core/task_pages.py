"""What the list of tasks can do beside what every list does: a line for a new task."""

from collections.abc import Mapping
from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.views.decorators.http import require_http_methods

from core import undoing
from core.faults import sentence
from core.going_back import back_to
from core.listing import project_in
from core.whose import Whose
from core.words import WORDS
from docstore import StoreError
from utils.activities import activity_of
from utils.middleware import StorageRequest, storage_refusal
from utils.records import CollectionSpec, InvalidRecord

UNPROCESSABLE = 422


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def quick_add(
    request: StorageRequest, spec: CollectionSpec, owner: int | None = None
) -> HttpResponse:
    """One line, and a new task of it; then back to where one was."""
    whose = Whose.of(request, spec, owner)
    whose.require_add()
    told = request.POST if request.method == "POST" else request.GET
    typed = told.get("text", "")
    context = {
        "whose": whose,
        "spec": spec,
        "words": WORDS[spec.name],
        "typed": typed,
        "back": back_to(request, whose.address("record_list")),
        "of": _project_for(whose, told),
    }
    if request.method != "POST":
        return render(request, "core/quick_add.html", context)
    try:
        whose.manager.create(
            spec.name,
            whose.owner,
            {"title": typed.strip(), "project_id": context["of"]},
            caller=whose.caller,
            activity=activity_of(request, spec, "created"),
        )
    except InvalidRecord as invalid:
        context["fault"] = sentence(invalid.errors[0].detail)
        return render(request, "core/quick_add.html", context, status=UNPROCESSABLE)
    except StoreError as fault:
        return storage_refusal(request, fault, "core/quick_add.html", context)
    undoing.say(request, WORDS[spec.name].created)
    return HttpResponseRedirect(str(context["back"]))


def _project_for(whose: Whose, told: Mapping[str, Any]) -> int | None:
    """The project that the list is narrowed to. What is another's, must be in one of theirs."""
    open_projects = whose.open_projects
    first = next(iter(open_projects), None) if whose.shared else None
    return project_in(told, open_projects) or first
