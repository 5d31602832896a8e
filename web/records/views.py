"""The home page, and the pages of record collections: list, form, and confirmation of deletion.

One set of views serves all collections: the user's own and, with `owner`, those shared by others.
`spec` is the collection's entry in the table.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from docstore import Conflict, Corrupt, StoreError
from utils.middleware import StorageRequest, request_metadata, storage_refusal
from web import undo
from web.forms import FormSection, RecordForm
from web.labels import WORDS, Text
from web.list_filter import (
    DUE,
    PAGE_RECORDS,
    priority_options,
    project_in,
    sort_options,
    status_options,
)
from web.localization import local_time
from web.metrics_table import model_table
from web.presenters import RecordRow, present, relative_day, title_of
from web.record_scope import RecordScope, project_address
from web.redirects import safe_next
from web.saved_views import current_of, selection_of, tabs_of
from workspace.schema.validation import CollectionSpec, InvalidRecord, record_version
from workspace.timestamps import is_date, parse_or_none
from workspace.users.activity_entries import activity_of

UNPROCESSABLE = 422
QUICK_FIELDS = ("title", "due_date", "priority", "status")  # fields of the form within a row

Record = dict[str, Any]


@require_safe
def home(request: HttpRequest) -> HttpResponse:
    """Show the public home page."""
    return render(request, "home.html")


@require_safe
@login_required
def record_list(
    request: StorageRequest, spec: CollectionSpec, owner: int | None = None
) -> HttpResponse:
    """List a collection, 50 records per page, filtered and sorted by the query string."""
    whose = RecordScope.of(request, spec, owner)
    selection = selection_of(whose, request.GET)
    context = _context(whose) | {
        "selection": selection,
        "statuses": status_options(spec),
        "sorts": sort_options(spec),
        "priorities": priority_options(spec),
        "dues": DUE,
        "tabs": (tabs := tabs_of(request, whose) if spec.name == "tasks" else []),
        "tab": current_of(tabs, selection),
        "project": whose.projects.get(selection.project or 0),
    }
    try:
        records = whose.manager.view(spec.name, whose.owner, caller=whose.caller)
    except Corrupt as fault:
        return storage_refusal(request, fault, "records/list.html", context)
    now = timezone.localtime()
    chosen = selection.of_records(spec, records, now)
    page = Paginator(chosen, PAGE_RECORDS).get_page(request.GET.get("page"))
    page.object_list = [_row(whose, record, now) for record in page.object_list]
    if spec.name == "models" and request.GET.get("view") == "table":
        context["table"] = model_table(page.object_list)
    return render(request, "records/list.html", context | {"page": page, "total": len(records)})


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def record_add(
    request: StorageRequest, spec: CollectionSpec, owner: int | None = None
) -> HttpResponse:
    """Show and process the form for a new record."""
    whose = RecordScope.of(request, spec, owner)
    whose.require_add()
    form = _form(request, whose)
    if request.method != "POST":
        return _form_page(request, whose, form)

    def write() -> Record:
        return whose.manager.create(
            spec.name,
            whose.owner,
            form.changes(),
            caller=whose.caller,
            activity=activity_of(request_metadata(request), spec, "created"),
        )

    return _saved(request, whose, form, write, WORDS[spec.name].created)


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def record_edit(
    request: StorageRequest, spec: CollectionSpec, record_id: int, owner: int | None = None
) -> HttpResponse:
    """Show and process the form for an existing record, or show it read-only.

    With `?quick=1`, a task's form has only the fields that are edited within its row. If another
    user changed the record, the response (409) shows their values next to the input. Only saving
    again overwrites them.
    """
    whose = RecordScope.of(request, spec, owner)
    stored = whose.manager.get(spec.name, whose.owner, record_id, caller=whose.caller)
    form = _form(request, whose, stored)
    if request.method != "POST":
        if not whose.may_change(stored):
            context = _form_context(request, whose, form)
            return render(request, "records/read.html", context)
        return _form_page(request, whose, form)
    whose.require_change(stored)

    def write() -> Record:
        return whose.manager.update(
            spec.name,
            whose.owner,
            record_id,
            form.changes(),
            expect=form.version,
            caller=whose.caller,
            activity=activity_of(request_metadata(request), spec, "updated"),
        )

    return _saved(request, whose, form, write, WORDS[spec.name].saved)


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def record_delete(
    request: StorageRequest, spec: CollectionSpec, record_id: int, owner: int | None = None
) -> HttpResponse:
    """Ask for confirmation, then delete the record unless it changed since the question."""
    whose = RecordScope.of(request, spec, owner)
    stored = whose.manager.get(spec.name, whose.owner, record_id, caller=whose.caller)
    whose.require_change(stored)
    context = _context(whose) | {
        "row": _row(whose, stored, timezone.localtime()),
        "version": record_version(stored),
        "back": safe_next(request, whose.address("record_list")),
    }
    if request.method != "POST":
        return render(request, "records/delete.html", context)
    try:
        whose.manager.delete(
            spec.name,
            whose.owner,
            record_id,
            expect=request.POST.get("version", ""),
            caller=whose.caller,
            activity=activity_of(request_metadata(request), spec, "deleted"),
        )
    except StoreError as fault:
        return storage_refusal(request, fault, "records/delete.html", context)
    undo.message_with_undo(request, WORDS[spec.name].deleted)
    return HttpResponseRedirect(context["back"])


@require_POST
@login_required
def record_complete(
    request: StorageRequest, spec: CollectionSpec, record_id: int, owner: int | None = None
) -> HttpResponse:
    """Complete a task, or reopen it with `reopen`, then redirect back."""
    if "completed_at" not in spec.by_name:
        raise Http404
    whose = RecordScope.of(request, spec, owner)
    reopen = "reopen" in request.POST
    added: list[Record] = []
    whose.manager.update(
        spec.name,
        whose.owner,
        record_id,
        {"status": spec.by_name["status"].default if reopen else "completed"},
        caller=whose.caller,
        activity=activity_of(request_metadata(request), spec, "updated"),
        report_next=added.append,
    )
    undo.message_with_undo(request, _("The task was reopened.") if reopen else _completed(added))
    return HttpResponseRedirect(safe_next(request, whose.address("record_list")))


def _completed(added: Sequence[Record]) -> str:
    """Return the message that a task is completed, with the due date of its next occurrence."""
    due = added[0]["due_date"] if added else None
    moment = parse_or_none(due)
    if due is None or moment is None:
        return _("The task was completed.")
    day = moment.date() if is_date(due) else local_time(moment).date()
    values = {"day": relative_day(day, timezone.localdate())}
    return _("The task was completed. The next one is due %(day)s.") % values


def _context(whose: RecordScope) -> dict[str, Any]:
    return {"whose": whose, "spec": whose.spec, "words": WORDS[whose.spec.name]}


def _row(whose: RecordScope, record: Mapping[str, Any], now: datetime) -> RecordRow:
    return present(
        whose.spec,
        record,
        now,
        whose.projects,
        whose.people,
        may_change=whose.may_change(record),
        may_delete=whose.may_delete(record),
        owner=whose.owner if whose.shared else None,
    )


def _form(request: StorageRequest, whose: RecordScope, stored: Record | None = None) -> RecordForm:
    """Return the form, with choices for the project that is typed, stored or proposed."""
    typed = request.POST if request.method == "POST" else None
    proposed = {} if stored else _proposed(request, whose)
    held = stored or proposed
    chosen = held.get("project_id")
    if typed is not None:
        chosen = project_in({"project": typed.get("project_id", "")}, whose.projects)
    choices = whose.choices(chosen, held.get("assignee"))
    part = _part(request, whose, stored)
    return RecordForm(
        whose.spec, typed, stored=stored, choices=choices, proposed=proposed, part=part
    )


def _part(request: StorageRequest, whose: RecordScope, stored: Record | None) -> FormSection | None:
    """Return the fields to enter if the form is for editing within a row, otherwise None."""
    if stored is None or whose.spec.name != "tasks" or "quick" not in request.GET:
        return None
    return FormSection(QUICK_FIELDS, f"{whose.anchor(stored['id'])}-%s", "title")


def _template_of(form: RecordForm) -> str:
    return "records/form.html" if form.part is None else "records/quick.html"


def _proposed(request: StorageRequest, whose: RecordScope) -> Record:
    """Return initial values of a new record: the project from which the user came.

    Another user's task must be in a project.
    """
    if "project_id" not in whose.spec.by_name:
        return {}
    open_projects = whose.open_projects
    first = next(iter(open_projects), None) if whose.shared else None
    project = project_in(request.GET, open_projects) or first
    return {} if project is None else {"project_id": project}


def _back(request: StorageRequest, whose: RecordScope) -> str:
    """Return the URL of the page that opened the form, by default the list filtered by project."""
    address = whose.address("record_list")
    known = whose.projects if "project_id" in whose.spec.by_name else ()
    project = project_in(request.GET, known)
    if project is not None and whose.spec.name == "models":
        address = project_address("project_detail", project)
    elif project is not None:
        address += f"?project={project}"
    return safe_next(request, address)


def _form_context(request: StorageRequest, whose: RecordScope, form: RecordForm) -> dict[str, Any]:
    context = _context(whose) | {"form": form, "back": _back(request, whose)}
    stored = form.stored
    if stored is not None:
        context |= {
            "record": stored,
            "record_title": title_of(whose.spec, stored),
            "version": form.version,
            "may_delete": whose.may_delete(stored),
            "anchor": whose.anchor(stored["id"]),
        }
    return context


def _form_page(
    request: StorageRequest, whose: RecordScope, form: RecordForm, status: int = 200
) -> HttpResponse:
    context = _form_context(request, whose, form)
    return render(request, _template_of(form), context, status=status)


def _saved(
    request: StorageRequest,
    whose: RecordScope,
    form: RecordForm,
    write: Callable[[], Record],
    said: Text,
) -> HttpResponse:
    """Write the form's changes and redirect, or show the form again with its faults."""
    if not form.is_valid():
        return _form_page(request, whose, form, UNPROCESSABLE)
    try:
        write()
    except InvalidRecord as invalid:
        form.add_faults(invalid)
        return _form_page(request, whose, form, UNPROCESSABLE)
    except Conflict as fault:
        return _conflict(request, whose, form, fault)
    except StoreError as fault:
        context = _form_context(request, whose, form)
        return storage_refusal(request, fault, _template_of(form), context)
    undo.message_with_undo(request, said)
    return HttpResponseRedirect(_back(request, whose))


def _conflict(
    request: StorageRequest, whose: RecordScope, form: RecordForm, fault: Conflict
) -> HttpResponse:
    """Show the input next to the current state of the record."""
    assert form.stored is not None, "a new record has nothing to conflict with"
    stored = whose.manager.get(whose.spec.name, whose.owner, form.stored["id"], caller=whose.caller)
    newer = form.on_top_of(stored)
    context = _form_context(request, whose, newer) | {"conflict": True}
    return storage_refusal(request, fault, _template_of(form), context)
