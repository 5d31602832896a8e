"""Bulk changes of tasks: those selected in a list, or all that match its filters.

The form has the action (`do`) and the tasks: the `id` of each, or `all` for those that the query
string selects. All changes are one commit. Deleting asks for confirmation first, and then deletes
only what was displayed and has not changed since.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_POST

from api.url_converters import record_id_of
from docstore import Conflict, id_of
from utils.middleware import StorageRequest, request_metadata, storage_refusal
from web import undo
from web.error_messages import sentence
from web.labels import WORDS
from web.presenters import title_of
from web.record_scope import RecordScope
from web.redirects import safe_next
from web.saved_views import selection_of
from workspace.records.bulk import OPERATIONS_MAX
from workspace.schema.validation import COLLECTIONS, CollectionSpec, InvalidRecord, record_version
from workspace.users.activity_entries import bulk_activity_of

SHOWN_TITLES = 20  # titles in the confirmation question

Record = Mapping[str, Any]
Deed = Callable[[Record, str], Record]  # returns the changes for a record and an input

_TASKS = COLLECTIONS["tasks"]
_OPEN = _TASKS.by_name["status"].default


def _tagged(record: Record, typed: str) -> Record:
    tags = _tags(record)
    return {"tags": tags if typed.strip() in tags else [*tags, typed.strip()]}


def _untagged(record: Record, typed: str) -> Record:
    return {"tags": [tag for tag in _tags(record) if tag != typed.strip()]}


def _tags(record: Record) -> list[Any]:
    tags = record.get("tags")
    return tags if isinstance(tags, list) else []


def _project_in(typed: str) -> int | str | None:
    """Return the id of a project, None, or invalid input for the table to refuse."""
    return None if typed == "none" else record_id_of(typed) or typed


# The actions: the form field with their input, and the changes that they make.
DEEDS: dict[str, tuple[str, Deed]] = {
    "complete": ("", lambda record, typed: {"status": "completed"}),
    "reopen": ("", lambda record, typed: {"status": _OPEN}),
    "priority": ("priority", lambda record, typed: {"priority": typed}),
    "project": ("project", lambda record, typed: {"project_id": _project_in(typed)}),
    "due": ("due", lambda record, typed: {"due_date": typed.strip() or None}),
    "tag": ("tag", _tagged),
    "untag": ("tag", _untagged),
}


@require_POST
@login_required
def bulk_change(
    request: StorageRequest, spec: CollectionSpec, owner: int | None = None
) -> HttpResponse:
    """Apply the requested action to the selected tasks, then redirect back to the list."""
    whose = RecordScope.of(request, spec, owner)
    whose.require_add()  # equivalent to permission to change some of them
    back = HttpResponseRedirect(safe_next(request, whose.address("record_list")))
    if "seen" in request.POST:
        return _delete(request, whose, back)
    chosen = _chosen(request, whose)
    done = request.POST.get("do", "")
    if not chosen:
        messages.warning(request, _("Nothing was selected."))
    elif len(chosen) > OPERATIONS_MAX:
        most = _("You can change at most %(most)d tasks at once.") % {"most": OPERATIONS_MAX}
        messages.warning(request, most)
    elif done == "delete":
        return _question(request, whose, chosen)
    elif done in DEEDS:
        field, deed = DEEDS[done]
        typed = request.POST.get(field, "")
        operations = [{"op": "update", "id": number, "changes": {}} for number in chosen]
        _write(request, whose, operations, lambda record, _told: deed(record, typed))
    return back


def _chosen(request: StorageRequest, whose: RecordScope) -> dict[int, Record]:
    """Return the selected records by id, in the list's order, without those deleted meanwhile."""
    records = whose.manager.view(whose.spec.name, whose.owner, caller=whose.caller)
    if "all" in request.POST:
        selection = selection_of(whose, request.GET)
        records_in_order = selection.of_records(whose.spec, records, timezone.localtime())
    else:
        named = {record_id_of(text) for text in request.POST.getlist("id")}
        records_in_order = [
            record for record in reversed(records) if id_of(record) in named - {None}
        ]
    return {
        number: record
        for record in records_in_order
        if (number := id_of(record)) is not None and whose.may_change(record)
    }


def _write(
    request: StorageRequest,
    whose: RecordScope,
    operations: list[dict[str, Any]],
    patch: Callable[[Record, Any], Record] | None = None,
) -> None:
    """Apply the operations in one commit, or add a message that says why not. Raises `Conflict`."""
    try:
        whose.manager.bulk(
            whose.spec.name,
            whose.owner,
            operations,
            patch=patch,
            caller=whose.caller,
            activity=bulk_activity_of(request_metadata(request), whose.spec),
        )
    except InvalidRecord as invalid:
        messages.error(request, f"{sentence(invalid.errors[0].detail)} {_('Nothing was changed.')}")
        return
    count = len(operations)
    if operations[0]["op"] == "delete":
        message = ngettext("%(count)d task was deleted.", "%(count)d tasks were deleted.", count)
    else:
        message = ngettext("%(count)d task was changed.", "%(count)d tasks were changed.", count)
    undo.message_with_undo(request, message % {"count": count})


# Deletion


@dataclass(frozen=True)
class Question:
    """The tasks to be deleted, as displayed."""

    seen: str  # "3:version,4:version", for the form
    titles: list[Any]
    more: int

    @classmethod
    def about(cls, spec: CollectionSpec, chosen: Mapping[int, Record]) -> "Question":
        seen = (f"{number}:{record_version(record)}" for number, record in chosen.items())
        titles = [title_of(spec, record) for record in chosen.values()]
        return cls(",".join(seen), titles[:SHOWN_TITLES], max(0, len(titles) - SHOWN_TITLES))


def _question(
    request: StorageRequest,
    whose: RecordScope,
    chosen: Mapping[int, Record],
    fault: Conflict | None = None,
) -> HttpResponse:
    context = {
        "whose": whose,
        "spec": whose.spec,
        "words": WORDS[whose.spec.name],
        "question": Question.about(whose.spec, chosen),
        "count": len(chosen),
        "back": safe_next(request, whose.address("record_list")),
    }
    if fault is not None:
        return storage_refusal(request, fault, "tasks/bulk_delete.html", context)
    return render(request, "tasks/bulk_delete.html", context)


def _delete(
    request: StorageRequest, whose: RecordScope, back: HttpResponseRedirect
) -> HttpResponse:
    """Delete what the question displayed. Ask again if some of it changed since."""
    seen = dict(_seen(request.POST["seen"]))
    if not seen:
        return back
    operations = [
        {"op": "delete", "id": number, "if_match": version} for number, version in seen.items()
    ]
    try:
        _write(request, whose, operations)
    except Conflict as fault:
        records = whose.manager.view(whose.spec.name, whose.owner, caller=whose.caller)
        left = {n: record for record in records if (n := id_of(record)) in seen and n is not None}
        return _question(request, whose, left, fault)
    return back


def _seen(text: str) -> list[tuple[int, str]]:
    """Return the ids and versions from the question, without malformed ones."""
    pairs = (pair.partition(":") for pair in text.split(",")[:OPERATIONS_MAX])
    parsed = ((record_id_of(number), version) for number, _colon, version in pairs)
    return [(number, version) for number, version in parsed if number is not None]
