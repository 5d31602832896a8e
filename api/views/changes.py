"""The change feed: commits to the records visible to the caller after a cursor.

It comes as JSON, at once or by long poll, or as server-sent events (WHATWG HTML standard, section
"Server-sent events"). The cursor is a sequence number. A client that resumes at its last cursor
misses nothing. Each waiting request blocks a thread: see `api.long_poll`.
"""

import logging
import re
import socket
import time
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from django.db import DatabaseError, close_old_connections
from django.http import HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase

from api.authentication import is_still_known, refuse_if_ended
from api.endpoint import endpoint
from api.long_poll import WaitSlot, places
from api.metering import count_burst
from api.operation import JSON, Answer, Operation, Parameter, answers
from api.problems import BadParameter, ParameterFault, TooManyWait
from api.request import ApiRequest
from api.responses import json_response
from docstore import StoreError, to_json
from workspace.change_feed import SHARED, ChangePage, changes_for
from workspace.schema.collections import RECORD_COLLECTIONS

log = logging.getLogger(__name__)

EVENT_STREAM = "text/event-stream"
WAIT_MAX = 30  # seconds
HEARTBEAT = 15.0  # seconds between heartbeats, and between checks of the caller's credential
STREAM_SECONDS = 300.0  # the longest stream; then the client reconnects
RETRY_MS = 2_000  # the client's delay before it reconnects
RETRY_AFTER = 10  # seconds, if no wait slot is free
NUMBER_MAX = 2**53 - 1
_NUMBER = re.compile("0|[1-9][0-9]{0,15}", re.ASCII)


def _changes(request: ApiRequest) -> HttpResponseBase:
    streams = request.get_preferred_type([JSON, EVENT_STREAM]) == EVENT_STREAM
    since = _since(request)
    wait = _number("wait", request.GET.get("wait", "0"), WAIT_MAX)
    count_burst(request)
    if streams:
        return _stream(request, since)
    if since is None:
        return json_response({"changes": [], "next": request.json_storage.store.sequence()})
    changes = _awaited(request, since, wait if request.method == "GET" else 0)
    return json_response({"changes": changes.told, "next": changes.next})


def _since(request: ApiRequest) -> int | None:
    """Return the cursor to start after, or None if the request has none.

    `Last-Event-ID`, which an event source sends when it reconnects, overrides `since`.
    """
    latest = request.headers.get("Last-Event-ID")
    if latest:
        return _number("Last-Event-ID", latest)
    since = request.GET.get("since")
    return None if since is None else _number("since", since)


def _number(name: str, text: str, most: int = NUMBER_MAX) -> int:
    if not _NUMBER.fullmatch(text) or int(text) > most:
        fault = f"must be a whole number from 0 to {most}"
        raise BadParameter(f"{name} {fault}.", [ParameterFault(name, fault)])
    return int(text)


# Waiting


def _awaited(request: ApiRequest, since: int, wait: int) -> ChangePage:
    """Return the changes after `since`. If there are none, wait for up to `wait` seconds.

    Does not wait if no slot is free.
    """
    changes = _next(request, since)
    if not wait or changes.told or not changes.is_all:
        return changes
    place = places.take(request.caller.user_id)
    if place is None:
        return changes
    try:
        close_old_connections()
        changes = _next(request, changes.next, time.monotonic() + wait, place)
    finally:
        places.leave(place)
    refuse_if_ended(request)
    return changes


def _next(
    request: ApiRequest, since: int, until: float = 0.0, place: WaitSlot | None = None
) -> ChangePage:
    """Return the changes after `since` that the caller may see, waiting until there are some.

    Returns an empty page at `until` (monotonic seconds), or earlier if the client disconnects, its
    slot is taken over, or the process shuts down.
    """
    store = request.json_storage.store
    while True:
        changes = changes_for(store, request.caller.user_id, since)
        if changes.told or not changes.is_all:
            return changes
        since = changes.next
        places.wait(place, partial(_is_due, request, since), until)
        is_over = place is not None and place.is_over
        if is_over or store.sequence() <= since or time.monotonic() >= until:
            return changes


def _is_due(request: ApiRequest, since: int) -> bool:
    return request.json_storage.store.sequence() > since or _has_gone(request)


def _has_gone(request: ApiRequest) -> bool:
    """Return whether the client has closed its connection. False if that is unknown."""
    connection = request.META.get("gunicorn.socket")
    if connection is None:
        return False
    try:
        peeked: bytes = connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
    except (BlockingIOError, ValueError):  # no data, or a TLS socket, which cannot peek
        return False
    except OSError:
        return True
    return not peeked


# Server-sent events


def _stream(request: ApiRequest, since: int | None) -> HttpResponseBase:
    if since is None:
        since = request.json_storage.store.sequence()
    first = _next(request, since)  # errors must be raised before the response starts
    if request.method == "HEAD":
        return HttpResponse(content_type=EVENT_STREAM)
    place = places.take(request.caller.user_id)
    if place is None:
        raise TooManyWait(
            "Too many wait for changes now. Try again, or ask for JSON without waiting.",
            {"Retry-After": str(RETRY_AFTER)},
        )
    # Without this header, nginx would buffer the events and clients would not receive them.
    return StreamingHttpResponse(
        _Stream(request, since, first, place),
        content_type=EVENT_STREAM,
        headers={"X-Accel-Buffering": "no"},
    )


class _Stream:
    """The chunks of an event stream. Closing it releases its wait slot, even before iteration."""

    def __init__(self, request: ApiRequest, since: int, first: ChangePage, place: WaitSlot) -> None:
        self._place: WaitSlot | None = place
        self._parts = _parts(request, since, first, place)

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        return next(self._parts)

    def close(self) -> None:
        place, self._place = self._place, None
        if place is not None:
            places.leave(place)

    def __del__(self) -> None:
        self.close()


def _parts(
    request: ApiRequest, since: int, changes: ChangePage, place: WaitSlot
) -> Iterator[bytes]:
    """Yield events as chunks until `STREAM_SECONDS` have passed.

    Ends earlier if the client disconnects, its credential or slot ends, or the process shuts down.
    """
    end = time.monotonic() + STREAM_SECONDS
    yield b"retry: %d\n" % RETRY_MS + _position(since)
    try:
        while not (time.monotonic() >= end or _must_end(place) or _has_gone(request)):
            since = changes.told[-1]["sequence"] if changes.told else since
            end_of_part = _position(changes.next) if changes.next > since else _BEAT
            yield b"".join(map(_event, changes.told)) + end_of_part
            since = changes.next
            until = min(time.monotonic() + HEARTBEAT, end)
            changes = _next(request, changes.next, until, place)
            if not is_still_known(request):
                return
            close_old_connections()
    except (StoreError, DatabaseError) as fault:  # the client reconnects and gets the error then
        log.warning("a stream of changes ended: %s (request %s)", fault, request.request_id)


def _must_end(place: WaitSlot) -> bool:
    return places.is_closing or place.is_over


def _event(entry: Mapping[str, Any]) -> bytes:
    return b"id: %d\ndata: %s\n\n" % (entry["sequence"], to_json(entry))


# A comment, which clients ignore. It keeps the connection open.
_BEAT = b": alive\n\n"


def _position(sequence: int) -> bytes:
    """Return an event that only advances the client's cursor.

    It has a name and JSON data, as many clients parse the data of any event with an id.
    """
    return b'event: position\nid: %d\ndata: {"next":%d}\n\n' % (sequence, sequence)


# The endpoint

_CHANGE = {
    "type": "object",
    "required": ["collection", "owner", "id", "change", "record"],
    "properties": {
        "collection": {"type": "string", "enum": [*RECORD_COLLECTIONS, SHARED]},
        "owner": {"type": "integer", "minimum": 1},
        "id": {"type": ["integer", "null"], "description": "null where all are reset"},
        "change": {"type": "string", "enum": ["created", "updated", "deleted", "reset"]},
        "record": {"type": ["object", "null"], "description": "as it was after the change"},
    },
}
_ENTRY = {
    "type": "object",
    "required": ["sequence", "at", "actor", "request", "changes"],
    "properties": {
        "sequence": {"type": "integer", "minimum": 1},
        "at": {"type": "string", "format": "date-time"},
        "actor": {"type": ["integer", "null"], "description": "the id of the user who did it"},
        "request": {"type": "string", "description": "the X-Request-ID of the call"},
        "changes": {"type": "array", "items": _CHANGE},
    },
}
_CHANGES = {
    "type": "object",
    "required": ["changes", "next"],
    "properties": {
        "changes": {"type": "array", "items": _ENTRY},
        "next": {"type": "integer", "minimum": 0, "description": "the `since` of the next call"},
    },
}

changes_view = endpoint(
    GET=Operation(
        _changes,
        "What happened to one's records, or happens next",
        answers({200: Answer("Commits in their order", _CHANGES)}, (410,)),
        parameters=(
            Parameter(
                "since",
                "After which number; without it only `next` is told, to begin with.",
                {"type": "integer", "minimum": 0, "maximum": NUMBER_MAX},
            ),
            Parameter(
                "wait",
                "How many seconds to wait for a change where there is none yet.",
                {"type": "integer", "minimum": 0, "maximum": WAIT_MAX, "default": 0},
            ),
        ),
        writes=False,
        counted=False,
        description=(
            "With `Accept: text/event-stream` the same as server-sent events, each with the number"
            " as its id; `Last-Event-ID` goes on where a stream ended."
        ),
    )
)
