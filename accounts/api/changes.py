"""The change feed: what happened to the caller's records after a number, as it happens.

As JSON, at once or when something happens (long poll), and as server-sent events (the chapter of
that name in the HTML standard of the WHATWG). Who comes back with the last number that they got
misses nothing. Those who wait have a thread each: see `accounts.waiting`.
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

from accounts.api.calls import take_turn
from accounts.api.http import (
    ApiRequest,
    endpoint,
    is_still_known,
    json_response,
    refuse_if_ended,
)
from accounts.api.operations import JSON, Answer, Operation, Parameter, answers
from accounts.api.problems import BadParameter, ParameterFault, TooManyWait
from accounts.waiting import Place, places
from docstore import StoreError, to_json
from utils.changes import SHARED, Changes, changes_for
from utils.table import RECORD_COLLECTIONS

log = logging.getLogger(__name__)

EVENT_STREAM = "text/event-stream"
WAIT_MAX = 30  # seconds
HEARTBEAT = 15.0  # seconds between two signs of life, and two looks whether the caller may listen
STREAM_SECONDS = 300.0  # after that a client has to come back
RETRY_MS = 2_000  # how long it waits before it does
RETRY_AFTER = 10  # seconds, where all places are taken
NUMBER_MAX = 2**53 - 1
_NUMBER = re.compile("0|[1-9][0-9]{0,15}", re.ASCII)


def _changes(request: ApiRequest) -> HttpResponseBase:
    streams = request.get_preferred_type([JSON, EVENT_STREAM]) == EVENT_STREAM
    since = _since(request)
    wait = _number("wait", request.GET.get("wait", "0"), WAIT_MAX)
    take_turn(request)
    if streams:
        return _stream(request, since)
    if since is None:
        return json_response({"changes": [], "next": request.json_storage.store.sequence()})
    changes = _awaited(request, since, wait if request.method == "GET" else 0)
    return json_response({"changes": changes.told, "next": changes.next})


def _since(request: ApiRequest) -> int | None:
    """After which number to begin. What an event stream's client has got since it was told where,
    it says in a header."""
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


def _awaited(request: ApiRequest, since: int, wait: int) -> Changes:
    """What happened after `since`; if nothing did, it is waited for so many seconds.

    Where too many wait already, it is answered at once.
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
    request: ApiRequest, since: int, until: float = 0.0, place: Place | None = None
) -> Changes:
    """What is to be told after `since`, as soon as there is something, at the latest when it is
    `until` (monotonic seconds), the client has gone, its place is another's, or this process is to
    end."""
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
    """Whether the client has closed its connection: nobody would hear the answer."""
    connection = request.META.get("gunicorn.socket")
    if connection is None:
        return False
    try:
        peeked: bytes = connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
    except (BlockingIOError, ValueError):  # nothing came; or TLS, where one cannot peek
        return False
    except OSError:
        return True
    return not peeked


# Server-sent events


def _stream(request: ApiRequest, since: int | None) -> HttpResponseBase:
    if since is None:
        since = request.json_storage.store.sequence()
    first = _next(request, since)  # it is refused now or never
    if request.method == "HEAD":
        return HttpResponse(content_type=EVENT_STREAM)
    place = places.take(request.caller.user_id)
    if place is None:
        raise TooManyWait(
            "Too many wait for changes now. Try again, or ask for JSON without waiting.",
            {"Retry-After": str(RETRY_AFTER)},
        )
    # A proxy that gathers what it passes on would keep it to itself: nginx is told not to.
    return StreamingHttpResponse(
        _Stream(request, since, first, place),
        content_type=EVENT_STREAM,
        headers={"X-Accel-Buffering": "no"},
    )


class _Stream:
    """The parts of a stream. Its place is free when it is closed, be it that nothing was sent."""

    def __init__(self, request: ApiRequest, since: int, first: Changes, place: Place) -> None:
        self._place: Place | None = place
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


def _parts(request: ApiRequest, since: int, changes: Changes, place: Place) -> Iterator[bytes]:
    """Events, until the time is up, the client has gone or may listen no more, its place is
    another's, or all is to end."""
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
    except (StoreError, DatabaseError) as fault:  # the client comes back and is told what it is
        log.warning("a stream of changes ended: %s (request %s)", fault, request.request_id)


def _must_end(place: Place) -> bool:
    return places.is_closing or place.is_over


def _event(entry: Mapping[str, Any]) -> bytes:
    return b"id: %d\ndata: %s\n\n" % (entry["sequence"], to_json(entry))


# A comment that shows the connection to live.
_BEAT = b": alive\n\n"


def _position(sequence: int) -> bytes:
    """An event that moves the client on where nothing happened to records of theirs. It has a name
    of its own and data: many clients parse the data of whatever has an id or a field `retry`."""
    return b'event: position\nid: %d\ndata: {"next":%d}\n\n' % (sequence, sequence)


# What the address does

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
