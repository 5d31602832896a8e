"""The JSON API of what a person owns: tasks, projects and models, by the one table of collections.

Every call is counted and logged as an activity, in one commit with what it changes. A call that is
refused changes nothing, costs nothing and is not logged.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from django.http import HttpResponse
from django.urls import reverse

from accounts.api_http import (
    ApiRequest,
    Endpoint,
    endpoint,
    json_response,
    no_content,
    read_json,
)
from accounts.api_lists import list_query, list_response
from accounts.api_operations import (
    JSON,
    MERGE_PATCH,
    WITH_BODY,
    Answer,
    Operation,
    answers,
    ref,
)
from accounts.api_patch import record_patch
from accounts.api_query import parameters_of
from docstore import StoreError
from utils.activities import activity_of
from utils.json_storage import Activity, ActivityOf
from utils.middleware import request_metadata
from utils.records import COLLECTIONS, CollectionSpec, Record

log = logging.getLogger(__name__)


def _list(request: ApiRequest, collection: str, owner: int | None = None) -> HttpResponse:
    whose = owner or request.user.pk
    query = list_query(request, collection, whose)
    return _read(request, lambda: list_response(request, query, collection, whose))


def _create(request: ApiRequest, collection: str, owner: int | None = None) -> HttpResponse:
    spec = COLLECTIONS[collection]
    record = request.json_storage.create(
        collection,
        owner or request.user.pk,
        read_json(request),
        activity=_activity(request, collection, "created"),
        metered=True,
        unknown="refuse",
    )
    location = reverse(f"api_{spec.singular}", args=[record["id"]])
    return json_response(record, 201, {"Location": location})


def _get(
    request: ApiRequest, collection: str, record_id: int, owner: int | None = None
) -> HttpResponse:
    def look() -> HttpResponse:
        found = request.json_storage.get(collection, owner or request.user.pk, record_id)
        return json_response(found)

    return _read(request, look, id=record_id)


def _put(
    request: ApiRequest, collection: str, record_id: int, owner: int | None = None
) -> HttpResponse:
    record = read_json(request)
    return _change(request, collection, record_id, record, owner=owner, replace=True)


def _patch(
    request: ApiRequest, collection: str, record_id: int, owner: int | None = None
) -> HttpResponse:
    patch = read_json(request, JSON, MERGE_PATCH)

    def changes(before: Record) -> Any:
        return record_patch(before, patch)

    return _change(request, collection, record_id, changes, owner=owner)


def _change(
    request: ApiRequest,
    collection: str,
    record_id: int,
    changes: Any,
    *,
    owner: int | None,
    replace: bool = False,
) -> HttpResponse:
    record = request.json_storage.update(
        collection,
        owner or request.user.pk,
        record_id,
        changes,
        replace=replace,
        activity=_activity(request, collection, "updated"),
        metered=True,
        unknown="refuse",
    )
    return json_response(record)


def _delete(
    request: ApiRequest, collection: str, record_id: int, owner: int | None = None
) -> HttpResponse:
    request.json_storage.delete(
        collection,
        owner or request.user.pk,
        record_id,
        activity=_activity(request, collection, "deleted"),
        metered=True,
    )
    return no_content()


def _dashboard(request: ApiRequest) -> HttpResponse:
    return _read(request, lambda: json_response(request.json_storage.dashboard(request.user.pk)))


def collection_view(spec: CollectionSpec) -> Endpoint:
    """The view of a collection: its list, and where records are added."""
    name, singular = spec.name, spec.singular
    schema = ref(singular.title())
    return endpoint(
        GET=Operation(
            partial(_list, collection=name),
            f"List {name}",
            answers({200: Answer(f"All {name}", ref(f"{singular.title()}List"), ("ETag", "Link"))}),
            parameters=parameters_of(name),
            judges_query=True,
            area=name,
            writes=False,
        ),
        POST=Operation(
            partial(_create, collection=name),
            f"Add a {singular}",
            answers({201: Answer(f"The new {singular}", schema, ("Location",))}, WITH_BODY),
            bodies={JSON: ref(f"{singular.title()}Input")},
            area=name,
        ),
    )


def record_view(spec: CollectionSpec) -> Endpoint:
    """The view of one record."""
    name, singular = spec.name, spec.singular
    found = Answer(f"The {singular}", ref(singular.title()))
    changed = answers({200: found}, (404, 409, *WITH_BODY))
    patch = ref(f"{singular.title()}Patch")
    return endpoint(
        GET=Operation(
            partial(_get, collection=name),
            f"Read a {singular}",
            answers({200: found}, (404,)),
            area=name,
            writes=False,
        ),
        PUT=Operation(
            partial(_put, collection=name),
            f"Replace a {singular}",
            changed,
            bodies={JSON: ref(f"{singular.title()}Replacement")},
            area=name,
        ),
        PATCH=Operation(
            partial(_patch, collection=name),
            f"Change a {singular}",
            changed,
            bodies={JSON: patch, MERGE_PATCH: patch},
            area=name,
        ),
        DELETE=Operation(
            partial(_delete, collection=name),
            f"Delete a {singular}",
            answers({204: Answer("It is gone")}, (404, 409, 507)),
            area=name,
        ),
    )


dashboard_view = endpoint(
    GET=Operation(
        _dashboard,
        "The person, the figures, the latest activities",
        answers({200: Answer("The dashboard", ref("Dashboard"))}),
        writes=False,
    )
)


def _read(request: ApiRequest, look: Callable[[], HttpResponse], **told: int) -> HttpResponse:
    """Answers with what `look` finds, and counts the call once it has found it."""
    owner, store = request.user.pk, request.json_storage
    with _count_or_go_on(request):
        store.quota(owner).check()
    found = look()
    with _count_or_go_on(request):
        metadata = told | _call(request) | request_metadata(request)
        activity = Activity("api_call", f"{request.method} {request.path}", metadata)
        store.record_call(owner, activity)
    return found


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
