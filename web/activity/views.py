"""The activity page, and its exports: CSV for spreadsheets, JSON for programs."""

import csv
import io
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from itertools import islice
from typing import cast

import msgspec
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.views.decorators.http import require_safe

from docstore import Corrupt
from utils.middleware import StorageRequest, storage_refusal
from web.activity_entries import PAGE_ACTIVITIES, ActivityFilter, days, kinds, lines
from workspace.documents import deep_copy
from workspace.users.activity_query import Activity, newest

_TEMPLATE = "activity/activity.html"
_IN_ONE_PIECE = 200  # activities per chunk of an export, which bounds its memory
_COLUMNS = ("timestamp", "type", "description")
_TOLD = ("id", "by_name", "via", "token", "method", "path", "ip_address", "user_agent")
# A spreadsheet evaluates a cell that begins with one of these as a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")


@require_safe
@login_required
def activity(request: StorageRequest) -> HttpResponse:
    """List activities, 50 per page, newest first. `before` is the cursor of the previous page."""
    manager, owner, asked = (
        request.json_storage,
        cast(int, request.user.pk),
        ActivityFilter.of(request.GET),
    )
    context = {"asked": asked, "kinds": kinds()}
    end = _place(request.GET.get("before", ""))
    try:
        every = manager.past(owner)
    except Corrupt as fault:
        return storage_refusal(request, fault, _TEMPLATE, context)
    page, place = newest(every, asked.tests, end=end, limit=PAGE_ACTIVITIES)
    context |= {
        "read": True,
        "days": days(lines(manager, owner, page)),
        "older": place,
        "later": end is not None,
        "total": len(every),
    }
    return render(request, _TEMPLATE, context)


@require_safe
@login_required
def activity_csv(request: StorageRequest) -> HttpResponseBase:
    """Export the filtered activities as CSV (RFC 4180)."""
    return _export(request, "text/csv; charset=utf-8", "csv", _csv)


@require_safe
@login_required
def activity_json(request: StorageRequest) -> HttpResponseBase:
    """Export the filtered activities as stored, newest first."""
    return _export(request, "application/json", "json", _json)


def _export(
    request: StorageRequest,
    media_type: str,
    ending: str,
    pieces: Callable[[Iterator[Activity]], Iterator[bytes]],
) -> HttpResponseBase:
    every = request.json_storage.past(cast(int, request.user.pk))
    tests = ActivityFilter.of(request.GET).tests
    chosen = (candidate for candidate in reversed(every) if all(test(candidate) for test in tests))
    name = f"activity-{datetime.now(UTC):%Y-%m-%d}.{ending}"
    return StreamingHttpResponse(
        pieces(chosen),
        content_type=media_type,
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )


def _csv(activities: Iterator[Activity]) -> Iterator[bytes]:
    # Without the byte order mark, spreadsheets decode the file as Latin-1.
    yield b"\xef\xbb\xbf" + _rows([(*_COLUMNS, *_TOLD)])
    while batch := list(islice(activities, _IN_ONE_PIECE)):
        yield _rows([_cells(item) for item in batch])


def _cells(activity: Activity) -> tuple[str, ...]:
    metadata = activity.get("metadata")
    metadata = metadata if isinstance(metadata, dict) else {}
    values = [activity.get(name) for name in _COLUMNS] + [metadata.get(name) for name in _TOLD]
    return tuple(_defused(value) for value in values)


def _defused(value: object) -> str:
    """Return a cell value, with an apostrophe before what a spreadsheet would evaluate."""
    text = "" if value is None else str(value)
    return f"'{text}" if text.startswith(_FORMULA) else text


def _rows(rows: list[tuple[str, ...]]) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue().encode()


def _json(activities: Iterator[Activity]) -> Iterator[bytes]:
    yield b'{"activities": ['
    between = b"\n"
    while batch := list(islice(activities, _IN_ONE_PIECE)):
        yield between + b",\n".join(msgspec.json.encode(deep_copy(item)) for item in batch)
        between = b",\n"
    yield b"\n]}\n"


def _place(text: str) -> int | None:
    """Return the cursor in a parameter, or None."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= 12 else None
