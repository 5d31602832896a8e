"""Task features of the list: quick add, and ticking checklist items within a row."""

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

from docstore import Conflict, StoreError
from utils.middleware import StorageRequest, request_metadata, storage_refusal
from web import undo
from web.error_messages import sentence
from web.labels import FIELD_WORDS, WORDS, in_words
from web.list_filter import project_in
from web.presenters import checklist_in
from web.record_scope import RecordScope
from web.redirects import safe_next
from workspace.schema.validation import CollectionSpec, InvalidRecord
from workspace.tasks.quick_add import ParsedTask, RecognizedText, parse
from workspace.users.activity_entries import activity_of

UNPROCESSABLE = 422


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def quick_add(
    request: StorageRequest, spec: CollectionSpec, owner: int | None = None
) -> HttpResponse:
    """Create a task from one line of text, then redirect back.

    GET shows a preview and changes nothing. With `plain`, the complete line is the title.
    """
    whose = RecordScope.of(request, spec, owner)
    whose.require_add()
    parameters = request.POST if request.method == "POST" else request.GET
    typed = parameters.get("text", "")
    quick = parse(
        typed,
        now=datetime.now(UTC),
        zone=timezone.get_current_timezone(),
        projects=whose.open_projects,
        language=get_language(),
    )
    meant, plain = _meant(whose, quick), "plain" in parameters
    if plain:
        quick = ParsedTask(" ".join(typed.split()))
    context = {
        "whose": whose,
        "spec": spec,
        "words": WORDS[spec.name],
        "typed": typed,
        "back": safe_next(request, whose.address("record_list")),
        "of": _project_for(whose, parameters),
        "quick": quick,
        "meant": meant,
        "plain": plain,
    }
    if request.method != "POST":
        return render(request, "tasks/quick_add.html", context)
    try:
        whose.manager.create(
            spec.name,
            whose.owner,
            {"project_id": context["of"]} | quick.record(),
            caller=whose.caller,
            activity=activity_of(request_metadata(request), spec, "created"),
        )
    except InvalidRecord as invalid:
        context["fault"] = _fault(invalid)
        return render(request, "tasks/quick_add.html", context, status=UNPROCESSABLE)
    except StoreError as fault:
        return storage_refusal(request, fault, "tasks/quick_add.html", context)
    undo.message_with_undo(request, WORDS[spec.name].created)
    return HttpResponseRedirect(str(context["back"]))


def _meant(whose: RecordScope, quick: ParsedTask) -> list[RecognizedText]:
    """Return the recognized phrases for the preview, with projects by their full name."""
    return [
        RecognizedText(phrase.field, str(whose.projects.get(quick.project_id or 0, phrase.text)))
        if phrase.field == "project_id"
        else phrase
        for phrase in quick.understood
    ]


def _fault(invalid: InvalidRecord) -> str:
    """Return the first fault as a sentence, with the name of the field unless it is the title."""
    first = invalid.errors[0]
    name = first.pointer.split("/")[1] if first.pointer else ""
    message = sentence(first.detail)
    return message if name in ("", "title") else f"{in_words(name, FIELD_WORDS)}: {message}"


def _project_for(whose: RecordScope, told: Mapping[str, Any]) -> int | None:
    """Return the project that the list is filtered by.

    A shared list requires one of the owner's projects, so its first is the default.
    """
    open_projects = whose.open_projects
    first = next(iter(open_projects), None) if whose.shared else None
    return project_in(told, open_projects) or first


@require_POST
@login_required
def checklist_tick(
    request: StorageRequest, spec: CollectionSpec, record_id: int, owner: int | None = None
) -> HttpResponse:
    """Tick (`tick`) or untick (`untick`) an item of a task's checklist.

    The parameter has the item's index and text, "2 Label the scans". If the checklist changed
    meanwhile, the text at that index differs and nothing is changed.
    """
    whose = RecordScope.of(request, spec, owner)
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
            activity=activity_of(request_metadata(request), spec, "updated"),
        )
    except Conflict:
        messages.warning(request, _("The checklist changed meanwhile. Please check it again."))
    else:
        message = _("“%(item)s” was completed.") if done else _("“%(item)s” was reopened.")
        undo.message_with_undo(request, message % {"item": text})
    return HttpResponseRedirect(safe_next(request, whose.address("record_list")))
