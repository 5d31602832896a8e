"""What the list of tasks can do beside what every list does: a line for a new task, and a
checklist that is ticked in its row."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.utils import timezone
from django.utils.translation import get_language
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST

from core import undoing
from core.display import checklist_in
from core.faults import sentence
from core.going_back import back_to
from core.listing import project_in
from core.whose import Whose
from core.words import FIELD_WORDS, WORDS, in_words
from docstore import Conflict, StoreError
from utils.middleware import StorageRequest, storage_refusal
from utils.people.activities import activity_of
from utils.records import CollectionSpec, InvalidRecord
from utils.tasks.quick import Quick, Understood, parse

UNPROCESSABLE = 422


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def quick_add(
    request: StorageRequest, spec: CollectionSpec, owner: int | None = None
) -> HttpResponse:
    """One line in plain words, and a new task of it; then back to where one was.

    GET shows what is understood of it, and changes nothing. With `plain` all of it is the title.
    """
    whose = Whose.of(request, spec, owner)
    whose.require_add()
    told = request.POST if request.method == "POST" else request.GET
    typed = told.get("text", "")
    quick = parse(
        typed,
        now=datetime.now(UTC),
        zone=timezone.get_current_timezone(),
        projects=whose.open_projects,
        language=get_language(),
    )
    meant, plain = _meant(whose, quick), "plain" in told
    if plain:
        quick = Quick(" ".join(typed.split()))
    context = {
        "whose": whose,
        "spec": spec,
        "words": WORDS[spec.name],
        "typed": typed,
        "back": back_to(request, whose.address("record_list")),
        "of": _project_for(whose, told),
        "quick": quick,
        "meant": meant,
        "plain": plain,
    }
    if request.method != "POST":
        return render(request, "core/quick_add.html", context)
    try:
        whose.manager.create(
            spec.name,
            whose.owner,
            {"project_id": context["of"]} | quick.record(),
            caller=whose.caller,
            activity=activity_of(request, spec, "created"),
        )
    except InvalidRecord as invalid:
        context["fault"] = _fault(invalid)
        return render(request, "core/quick_add.html", context, status=UNPROCESSABLE)
    except StoreError as fault:
        return storage_refusal(request, fault, "core/quick_add.html", context)
    undoing.say(request, WORDS[spec.name].created)
    return HttpResponseRedirect(str(context["back"]))


def _meant(whose: Whose, quick: Quick) -> list[Understood]:
    """What is shown of a line that was understood; a project by its whole name."""
    return [
        Understood(one.field, str(whose.projects.get(quick.project_id or 0, one.text)))
        if one.field == "project_id"
        else one
        for one in quick.understood
    ]


def _fault(invalid: InvalidRecord) -> str:
    """The first fault, as a sentence; it names the field, where that is not the title."""
    first = invalid.errors[0]
    name = first.pointer.split("/")[1] if first.pointer else ""
    said = sentence(first.detail)
    return said if name in ("", "title") else f"{in_words(name, FIELD_WORDS)}: {said}"


def _project_for(whose: Whose, told: Mapping[str, Any]) -> int | None:
    """The project that the list is narrowed to. What is another's, must be in one of theirs."""
    open_projects = whose.open_projects
    first = next(iter(open_projects), None) if whose.shared else None
    return project_in(told, open_projects) or first


@require_POST
@login_required
def checklist_tick(
    request: StorageRequest, spec: CollectionSpec, record_id: int, owner: int | None = None
) -> HttpResponse:
    """Ticks an item of a task's checklist (`tick`), or takes it up again (`untick`).

    Either names the item by its place and its text, "2 Label the scans": a list that was changed
    meanwhile has another item there, and then nothing is changed.
    """
    whose = Whose.of(request, spec, owner)
    done = "tick" in request.POST
    place, _space, text = request.POST.get("tick" if done else "untick", "").partition(" ")

    def changes(before: Mapping[str, Any]) -> Mapping[str, Any]:
        items = [dict(item) for item in checklist_in(before.get("checklist"))]
        named = [item for n, item in enumerate(items) if str(n) == place and item["text"] == text]
        if not named:
            raise Conflict("the checklist has no such item any more")
        named[0]["done"] = done
        return {"checklist": items}

    try:
        whose.manager.update(
            spec.name,
            whose.owner,
            record_id,
            changes,
            caller=whose.caller,
            activity=activity_of(request, spec, "updated"),
        )
    except Conflict:
        messages.warning(request, _("The checklist was changed meanwhile: look at it again."))
    else:
        said = _("“%(item)s” is done.") if done else _("“%(item)s” is open again.")
        undoing.say(request, said % {"item": text})
    return HttpResponseRedirect(back_to(request, whose.address("record_list")))
