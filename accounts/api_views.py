"""The JSON API of what a person owns: tasks, projects and models, by the one table of collections.

Every call is counted and logged as an activity, in one commit with what it changes. A call that is
refused changes nothing, costs nothing and is not logged.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from django.http import HttpResponse
from django.urls import reverse

from accounts.api_http import (
    JSON,
    MERGE_PATCH,
    ApiRequest,
    endpoint,
    json_response,
    no_content,
    read_json,
)
from accounts.api_patch import record_patch
from docstore import StoreError
from utils.activities import activity_of
from utils.json_storage import Activity, ActivityOf
from utils.middleware import request_metadata
from utils.records import COLLECTIONS

log = logging.getLogger(__name__)


def _list(request: ApiRequest, collection: str) -> HttpResponse:
    def look() -> dict[str, Any]:
        records = request.json_storage.view(collection, request.user.pk)
        return {collection: records, "total": len(records)}

    return _read(request, look)


def _create(request: ApiRequest, collection: str) -> HttpResponse:
    spec = COLLECTIONS[collection]
    record = request.json_storage.create(
        collection,
        request.user.pk,
        read_json(request),
        activity=_activity(request, collection, "created"),
        metered=True,
        unknown="refuse",
    )
    location = reverse(f"api_{spec.singular}", args=[record["id"]])
    return json_response(record, 201, {"Location": location})


def _get(request: ApiRequest, collection: str, record_id: int) -> HttpResponse:
    def look() -> dict[str, Any]:
        return request.json_storage.get(collection, request.user.pk, record_id)

    return _read(request, look, id=record_id)


def _put(request: ApiRequest, collection: str, record_id: int) -> HttpResponse:
    return _change(request, collection, record_id, read_json(request), replace=True)


def _patch(request: ApiRequest, collection: str, record_id: int) -> HttpResponse:
    patch = read_json(request, JSON, MERGE_PATCH)
    return _change(request, collection, record_id, lambda before: record_patch(before, patch))


def _change(
    request: ApiRequest, collection: str, record_id: int, changes: Any, *, replace: bool = False
) -> HttpResponse:
    record = request.json_storage.update(
        collection,
        request.user.pk,
        record_id,
        changes,
        replace=replace,
        activity=_activity(request, collection, "updated"),
        metered=True,
        unknown="refuse",
    )
    return json_response(record)


def _delete(request: ApiRequest, collection: str, record_id: int) -> HttpResponse:
    request.json_storage.delete(
        collection,
        request.user.pk,
        record_id,
        activity=_activity(request, collection, "deleted"),
        metered=True,
    )
    return no_content()


def _dashboard(request: ApiRequest) -> HttpResponse:
    return _read(request, lambda: request.json_storage.dashboard(request.user.pk))


collection_view = endpoint(GET=_list, POST=_create)
record_view = endpoint(GET=_get, PUT=_put, PATCH=_patch, DELETE=_delete)
dashboard_view = endpoint(GET=_dashboard)


def _read(request: ApiRequest, look: Callable[[], Any], **told: int) -> HttpResponse:
    """Answers with what `look` finds, and counts the call once it has found it."""
    owner, store = request.user.pk, request.json_storage
    with _count_or_go_on(request):
        store.quota(owner).check()
    found = look()
    with _count_or_go_on(request):
        metadata = told | _call(request) | request_metadata(request)
        activity = Activity("api_call", f"{request.method} {request.path}", metadata)
        store.record_call(owner, activity)
    return json_response(found)


@contextmanager
def _count_or_go_on(request: ApiRequest) -> Iterator[None]:
    """A store that cannot take the count must not keep people from what it holds."""
    try:
        yield
    except StoreError as fault:
        log.warning(
            "%s %s was answered but not counted: %s (request %s)",
            request.method,
            request.path,
            fault,
            request.request_id,
            extra={"request": request},
        )


def _activity(request: ApiRequest, collection: str, done: str) -> ActivityOf:
    return activity_of(request, COLLECTIONS[collection], done, **_call(request))


def _call(request: ApiRequest) -> dict[str, Any]:
    """What an activity tells of the call that it was done by."""
    return {"via": "api", "method": request.method, "path": request.path}
