"""The pages: home, dashboard, and for each collection a list, a form, and a question before
anything is deleted. One set of views serves all collections; `spec` is their entry in the table."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, cast

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect, render
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from core.display import names_of, row, title_of
from core.forms import RecordForm
from core.listing import PAGE_RECORDS, Selection, sort_options, status_options
from core.summary import Panel, read_panel, summary
from core.words import WORDS, Text
from docstore import Conflict, Corrupt, StoreError
from utils.activities import activity_of
from utils.middleware import StorageRequest, storage_refusal
from utils.records import COLLECTIONS, CollectionSpec, InvalidRecord, record_version

UNPROCESSABLE = 422

Record = dict[str, Any]


@require_safe
def home(request: HttpRequest) -> HttpResponse:
    """What NeuralFlow is, for everybody."""
    return render(request, "core/home.html")


@require_safe
@login_required
def dashboard(request: StorageRequest) -> HttpResponse:
    """The figures. A document that cannot be read costs its own panels, not the page."""
    figures = summary(request.json_storage, _owner(request), datetime.now(UTC))
    return render(request, "core/dashboard.html", {"summary": figures})


@require_safe
@login_required
def record_list(request: StorageRequest, spec: CollectionSpec) -> HttpResponse:
    """A collection, 50 records a page, narrowed and sorted as the address says."""
    selection = Selection.of(spec, request.GET)
    context = {
        "spec": spec,
        "words": WORDS[spec.name],
        "selection": selection,
        "statuses": status_options(spec),
        "sorts": sort_options(spec),
    }
    try:
        records = request.json_storage.view(spec.name, _owner(request))
    except Corrupt as fault:
        return storage_refusal(request, fault, "core/record_list.html", context)
    chosen = selection.of_records(spec, records)
    page = Paginator(chosen, PAGE_RECORDS).get_page(request.GET.get("page"))
    projects = names_of(COLLECTIONS["projects"], _projects(request, spec).records)
    now = datetime.now(UTC)
    page.object_list = [row(spec, record, now, projects) for record in page.object_list]
    return render(request, "core/record_list.html", context | {"page": page, "total": len(records)})


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def record_add(request: StorageRequest, spec: CollectionSpec) -> HttpResponse:
    """A form for a new record."""
    form = _form(request, spec)
    if request.method != "POST":
        return _form_page(request, form)

    def write() -> Record:
        activity = activity_of(request, spec, "created")
        return request.json_storage.create(
            spec.name, _owner(request), form.changes(), activity=activity
        )

    return _saved(request, form, write, WORDS[spec.name].created)


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def record_edit(request: StorageRequest, spec: CollectionSpec, record_id: int) -> HttpResponse:
    """A form for a record that exists. Someone else's newer state is shown beside what was
    typed (409), and only saving again replaces it."""
    stored = request.json_storage.get(spec.name, _owner(request), record_id)
    form = _form(request, spec, stored)
    if request.method != "POST":
        return _form_page(request, form)

    def write() -> Record:
        return request.json_storage.update(
            spec.name,
            _owner(request),
            record_id,
            form.changes(),
            expect=form.version,
            activity=activity_of(request, spec, "updated"),
        )

    return _saved(request, form, write, WORDS[spec.name].saved)


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def record_delete(request: StorageRequest, spec: CollectionSpec, record_id: int) -> HttpResponse:
    """Asks, and then deletes what the question was about: not a record changed since."""
    manager, owner = request.json_storage, _owner(request)
    stored = manager.get(spec.name, owner, record_id)
    context = {
        "spec": spec,
        "words": WORDS[spec.name],
        "row": row(spec, stored, datetime.now(UTC)),
        "version": record_version(stored),
    }
    if request.method != "POST":
        return render(request, "core/record_delete.html", context)
    try:
        manager.delete(
            spec.name,
            owner,
            record_id,
            expect=request.POST.get("version", ""),
            activity=activity_of(request, spec, "deleted"),
        )
    except StoreError as fault:
        return storage_refusal(request, fault, "core/record_delete.html", context)
    messages.success(request, str(WORDS[spec.name].deleted))
    return redirect("record_list", spec)


@require_POST
@login_required
def record_complete(request: StorageRequest, spec: CollectionSpec, record_id: int) -> HttpResponse:
    """Completes a task, or with `reopen` takes it up again; then back to where one was."""
    if "completed_at" not in spec.by_name:
        raise Http404
    reopen = "reopen" in request.POST
    request.json_storage.update(
        spec.name,
        _owner(request),
        record_id,
        {"status": spec.by_name["status"].default if reopen else "completed"},
        activity=activity_of(request, spec, "updated"),
    )
    done = _("The task is open again.") if reopen else _("The task is completed.")
    messages.success(request, done)
    back = request.POST.get("next", "")
    # `redirect` would take what has no slash for the name of a view.
    if back.startswith("/") and url_has_allowed_host_and_scheme(back, allowed_hosts=None):
        return HttpResponseRedirect(back)
    return redirect("record_list", spec)


def _owner(request: HttpRequest) -> int:
    """The person asking: pages show and change nobody else's records."""
    return cast(int, request.user.pk)


def _projects(request: StorageRequest, spec: CollectionSpec) -> Panel:
    """The owner's projects where records of this collection refer to them; otherwise none."""
    if "project_id" not in spec.by_name:
        return Panel()
    return read_panel(request.json_storage, "projects", _owner(request))


def _form(
    request: StorageRequest, spec: CollectionSpec, stored: Record | None = None
) -> RecordForm:
    projects = names_of(COLLECTIONS["projects"], _projects(request, spec).records)
    typed = request.POST if request.method == "POST" else None
    return RecordForm(spec, typed, stored=stored, references=projects.items())


def _form_context(form: RecordForm) -> dict[str, Any]:
    spec, stored = form.spec, form.stored
    context: dict[str, Any] = {"spec": spec, "words": WORDS[spec.name], "form": form}
    if stored is not None:
        context |= {
            "record": stored,
            "record_title": title_of(spec, stored),
            "version": form.version,
        }
    return context


def _form_page(request: HttpRequest, form: RecordForm, status: int = 200) -> HttpResponse:
    return render(request, "core/record_form.html", _form_context(form), status=status)


def _saved(
    request: StorageRequest, form: RecordForm, write: Callable[[], Record], said: Text
) -> HttpResponse:
    """Writes what the form holds, or shows the form again with what stands against it."""
    if not form.is_valid():
        return _form_page(request, form, UNPROCESSABLE)
    try:
        write()
    except InvalidRecord as invalid:
        form.add_faults(invalid)
        return _form_page(request, form, UNPROCESSABLE)
    except Conflict as fault:
        return _conflict(request, form, fault)
    except StoreError as fault:
        return storage_refusal(request, fault, "core/record_form.html", _form_context(form))
    messages.success(request, str(said))
    return redirect("record_list", form.spec)


def _conflict(request: StorageRequest, form: RecordForm, fault: Conflict) -> HttpResponse:
    """What was typed, beside what the record has become."""
    assert form.stored is not None, "a new record has nothing to conflict with"
    spec = form.spec
    stored = request.json_storage.get(spec.name, _owner(request), form.stored["id"])
    newer = form.on_top_of(stored)
    context = _form_context(newer) | {"differences": newer.differences()}
    return storage_refusal(request, fault, "core/record_form.html", context)
