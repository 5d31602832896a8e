"""The "My files" pages: list, view and download the user's own files.

Files edited by hand are merged. Versions that could not be merged are listed to use or discard.

The URL names the collection, the session its owner, and the table of collections the rest of the
file name.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple, cast

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_safe

from docstore import ABSENT, Corrupt, NotFound
from utils.middleware import StorageRequest, storage_refusal
from web.comparison import value_text
from web.error_messages import remark_in_words
from web.labels import CHOICE_WORDS, FIELD_WORDS, FILE_WORDS, Text, in_words
from web.undo import token_for
from workspace.archive.user_files import OWN_FILES, OwnFile, own_file
from workspace.documents import key_of
from workspace.file_edits import (
    RecordDifference,
    aside_differences,
    asides_of,
    recent_merges,
    use_aside,
)
from workspace.records.undo import OFFERED_FOR
from workspace.schema.validation import CollectionSpec

# Of the differences of a version, the page shows so many of each kind, and of a value so much.
SHOWN_MAX: Final = 50
VALUE_CHARACTERS_MAX: Final = 200


class VersionRow(NamedTuple):
    """A field of a record as it is now and as a version has it. Without a record, of the file."""

    record: str
    label: Text
    current: str
    version: str


@dataclass(frozen=True)
class FileRow:
    """A file in the list. `file` is None if it cannot be read even as bytes."""

    collection: str
    label: Text
    file: OwnFile | None = None
    fault: Corrupt | None = None


@require_safe
@login_required
def file_list(request: StorageRequest) -> HttpResponse:
    """List the user's existing files."""
    rows = [row for name in OWN_FILES if (row := _row(request, name))]
    store, owner = request.json_storage.store, _owner(request)
    asides = [
        {"collection": collection, "label": FILE_WORDS[collection], "version": aside}
        for collection, aside in asides_of(store, owner)
        if collection in FILE_WORDS
    ]
    merges = [
        {"merged": merged, "undo": token_for(request, merged.number)}
        for merged in recent_merges(store, owner, request.json_storage.clock() - OFFERED_FOR)
        if merged.description
    ]
    storage = request.json_storage.storage(owner)
    context = {"rows": rows, "asides": asides, "merges": merges, "storage": storage}
    return render(request, "files/list.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def file_version(request: StorageRequest, spec: CollectionSpec) -> HttpResponse:
    """Show how a version that was set aside differs from the current file; use or discard it."""
    store, key = request.json_storage.store, key_of(spec.name, _owner(request))
    name = (request.POST if request.method == "POST" else request.GET).get("name", "")
    try:
        if request.method != "POST":
            return _version_page(request, spec, name)
        if request.POST.get("action") == "use":
            remarks = use_aside(store, key, name)
            if remarks:
                words = map(remark_in_words, remarks)
                messages.warning(request, " ".join([_("Not everything was applied:"), *words]))
            else:
                messages.success(request, _("Your version was applied."))
        else:
            store.discard_aside(key, name)
            messages.success(request, _("The version was discarded."))
    except NotFound:
        messages.error(request, _("This version no longer exists."))
    except Corrupt as fault:
        messages.error(request, _("This version cannot be read: %(reason)s.") % {"reason": fault})
    return redirect("file_list")


def _version_page(request: StorageRequest, spec: CollectionSpec, name: str) -> HttpResponse:
    store, key = request.json_storage.store, key_of(spec.name, _owner(request))
    found = aside_differences(store, key, name)
    records = [RecordDifference({}, found.fields), *found.changed]
    rows = [
        VersionRow(
            _record_text(spec, record) if record else "",
            in_words(field.name, FIELD_WORDS),
            _field_text(spec, field.name, field.current),
            _field_text(spec, field.name, field.version),
        )
        for record, fields in records
        for field in fields
    ]
    shown = [rows[:SHOWN_MAX], found.added[:SHOWN_MAX], found.removed[:SHOWN_MAX]]
    total = len(rows) + len(found.added) + len(found.removed)
    context = {
        "label": FILE_WORDS[spec.name],
        "collection": spec.name,
        "version": next(aside for aside in store.aside(key) if aside.name == name),
        "rows": shown[0],
        "added": [_record_text(spec, record) for record in shown[1]],
        "removed": [_record_text(spec, record) for record in shown[2]],
        "total": total,
        "omitted": total - sum(map(len, shown)),
    }
    return render(request, "files/version.html", context)


def _record_text(spec: CollectionSpec, record: object) -> str:
    """Return the words for a record, also for one that has no title, or is no object."""
    if not isinstance(record, Mapping):
        return _value_text(record)
    titles = (record.get(name) for name in (spec.title_field, "description", "name", "id"))
    return _value_text(next((title for title in titles if title), record))


def _field_text(spec: CollectionSpec, name: str, value: object) -> str:
    field = spec.by_name.get(name)
    if field is not None and value in field.choices:
        return str(in_words(value, CHOICE_WORDS))
    return _value_text(value)


def _value_text(value: object) -> str:
    text = "" if value is ABSENT else value_text(value)
    return text if len(text) <= VALUE_CHARACTERS_MAX else f"{text[:VALUE_CHARACTERS_MAX]}…"


def _row(request: StorageRequest, collection: str) -> FileRow | None:
    label = FILE_WORDS[collection]
    try:
        with own_file(request.json_storage.store, collection, _owner(request)) as file:
            return FileRow(collection, label, file, file.fault)
    except Corrupt as fault:
        return FileRow(collection, label, fault=fault)
    except NotFound:
        return None


@require_safe
@login_required
def file_page(request: StorageRequest, spec: CollectionSpec) -> HttpResponse:
    """Show a file, or an excerpt of a long one."""
    context: dict[str, object] = {"label": FILE_WORDS[spec.name], "collection": spec.name}
    try:
        with own_file(request.json_storage.store, spec.name, _owner(request)) as file:
            context |= {"file": file, "excerpt": file.excerpt()}
    except Corrupt as fault:
        return storage_refusal(request, fault, "files/file.html", context)
    return render(request, "files/file.html", context | _told(file.fault))


def _told(fault: Corrupt | None) -> dict[str, object]:
    if fault is None:
        return {}
    names = ("document", "reason", "line", "column")
    return {name: getattr(fault, name) for name in names}


@require_safe
@login_required
def file_download(request: StorageRequest, spec: CollectionSpec) -> HttpResponse:
    """Return a file byte for byte, even if it is not valid JSON."""
    with own_file(request.json_storage.store, spec.name, _owner(request)) as file:
        return HttpResponse(
            file.content(),
            content_type="application/json",
            headers={
                "Content-Disposition": f'attachment; filename="{file.base_name}"',
                "Cache-Control": "no-store",
            },
        )


def _owner(request: HttpRequest) -> int:
    return cast(int, request.user.pk)
