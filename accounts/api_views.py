"""API views of tasks, projects and models, generated from the table of collections.

Every change is counted and logged as an activity in the same commit. A refused call changes and
logs nothing. It counts in the burst, not in the hourly quota.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

from django.http import HttpResponse
from django.urls import reverse

from api.body_objects import read_members
from api.endpoint import Endpoint, endpoint
from api.list_query import parameters_of
from api.list_response import list_query, list_response
from api.merge_patch import patch_of
from api.metering import activity, count_burst, idempotency_key, metered_read, replayed
from api.operation import JSON, JSON_PATCH, MERGE_PATCH, WITH_BODY, Answer, Operation, answers, ref
from api.parsing import check_media_type, read_json
from api.preconditions import Conditions, etag, prefers_minimal, refuse_conditions, require_if_match
from api.rate_limit_headers import limits
from api.request import ApiRequest
from api.responses import json_response, no_content
from api.views.bulk import bulk
from docstore import id_of
from workspace.idempotency import IdempotencyKey
from workspace.json_values import FieldError
from workspace.schema.validation import (
    COLLECTIONS,
    CollectionSpec,
    InvalidRecord,
    Record,
    record_version,
)
from workspace.tasks.quick_add import LINE_CHARACTERS_MAX, parse
from workspace.users.preferences import is_time_zone


def _list(request: ApiRequest, collection: str, owner: int | None = None) -> HttpResponse:
    whose = owner or request.caller.user_id
    query = list_query(request, collection, whose)
    refuse_conditions(request, "If-Match")
    conditions = Conditions.of(request)
    response = metered_read(request, lambda: list_response(request, query, collection, whose))
    return conditions.unless_known(response)


def _create(request: ApiRequest, collection: str, owner: int | None = None) -> HttpResponse:
    refuse_conditions(request)
    record, once = read_json(request), idempotency_key(request)
    record = request.json_storage.create(
        collection,
        owner or request.caller.user_id,
        record,
        caller=request.caller,
        once=once,
        activity=activity(request, collection, "created"),
        metered=True,
        unknown="refuse",
    )
    address = {"Location": _address(collection, record, owner)}
    return _changed(request, record, once, 201, address)


def _quick(request: ApiRequest) -> HttpResponse:
    asked = read_members(request, text=str, time_zone=str, optional="time_zone")
    once, person = idempotency_key(request), request.caller.user_id
    preferences = request.json_storage.preferences(person)
    zone = asked.get("time_zone", preferences.time_zone or "UTC")
    if not is_time_zone(zone):
        raise InvalidRecord([FieldError("/time_zone", "must be a name such as Europe/Madrid")])
    if len(asked["text"]) > LINE_CHARACTERS_MAX:
        fault = f"must be a text of 1 to {LINE_CHARACTERS_MAX} characters"
        raise InvalidRecord([FieldError("/text", fault)])
    projects = request.json_storage.view("projects", person)
    quick = parse(
        asked["text"],
        now=request.json_storage.clock(),
        zone=ZoneInfo(zone),
        projects={number: p.get("name") or "" for p in projects if (number := id_of(p))},
        language=preferences.language or "en",
    )
    record = request.json_storage.create(
        "tasks",
        person,
        quick.record() | ({"time_zone": zone} if quick.repeat else {}),
        caller=request.caller,
        once=once,
        activity=activity(request, "tasks", "created"),
        metered=True,
    )
    address = {"Location": _address("tasks", record, None)}
    return _changed(request, record, once, 201, address)


def _get(
    request: ApiRequest, collection: str, record_id: int, owner: int | None = None
) -> HttpResponse:
    conditions = Conditions.of(request)

    def look() -> Record:
        record = request.json_storage.get(
            collection, owner or request.caller.user_id, record_id, caller=request.caller
        )
        conditions.check_match(record)
        return record

    record = metered_read(request, look)
    headers = {"ETag": etag(record_version(record))}
    return conditions.unless_known(json_response(record, headers=headers))


def _put(
    request: ApiRequest, collection: str, record_id: int, owner: int | None = None
) -> HttpResponse:
    require_if_match(request)
    record = read_json(request)
    return _update(request, collection, record_id, lambda _: record, owner=owner, replace=True)


def _patch(
    request: ApiRequest, collection: str, record_id: int, owner: int | None = None
) -> HttpResponse:
    require_if_match(request)
    media_type = check_media_type(request)
    changes = patch_of(COLLECTIONS[collection], media_type, read_json(request))
    once = idempotency_key(request)
    return _update(request, collection, record_id, changes, owner=owner, once=once)


def _update(
    request: ApiRequest,
    collection: str,
    record_id: int,
    changes: Callable[[Record], Any],
    *,
    owner: int | None,
    replace: bool = False,
    once: IdempotencyKey | None = None,
) -> HttpResponse:
    record = request.json_storage.update(
        collection,
        owner or request.caller.user_id,
        record_id,
        changes,
        replace=replace,
        expect=Conditions.of(request).check,
        caller=request.caller,
        once=once,
        activity=activity(request, collection, "updated"),
        metered=True,
        unknown="refuse",
    )
    return _changed(request, record, once)


def _address(collection: str, record: Record, owner: int | None) -> str:
    """Return the URL of the record, below `owner` unless that is None."""
    singular = COLLECTIONS[collection].singular
    if owner is None:
        return reverse(f"api_{singular}", args=[record["id"]])
    return reverse(f"api_shared_{singular}", args=[owner, record["id"]])


def _changed(
    request: ApiRequest,
    record: Record,
    once: IdempotencyKey | None,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
) -> HttpResponse:
    """Return the response to a change: the record, unless the client prefers none (RFC 7240)."""
    fields = {"ETag": etag(record_version(record)), **replayed(once), **(headers or {})}
    if not prefers_minimal(request):
        # The entity tag is that of the response's content (RFC 9110, section 8.7).
        location = fields.get("Location", request.path)
        return json_response(record, status, {"Content-Location": location, **fields})
    if request.method == "PUT":
        del fields["ETag"]  # it is not that of the content sent (RFC 9110, section 9.3.4)
    fields["Preference-Applied"] = "return=minimal"
    return no_content(fields, 201 if status == 201 else 204)


def _delete(
    request: ApiRequest, collection: str, record_id: int, owner: int | None = None
) -> HttpResponse:
    require_if_match(request)
    request.json_storage.delete(
        collection,
        owner or request.caller.user_id,
        record_id,
        expect=Conditions.of(request).check,
        caller=request.caller,
        activity=activity(request, collection, "deleted"),
        metered=True,
    )
    return no_content()


def _dashboard(request: ApiRequest) -> HttpResponse:
    return json_response(
        metered_read(request, lambda: request.json_storage.dashboard(request.caller.user_id))
    )


def _quota(request: ApiRequest) -> HttpResponse:
    count_burst(request)
    store, person = request.json_storage, request.caller.user_id
    return json_response(limits(store.quota(person), store.storage(person)))


_KNOWN = Answer("It is as you know it", None, ("ETag",))
_UNTOLD = Answer("Done; as preferred, the record is left out", None, ("Preference-Applied",))


def collection_view(spec: CollectionSpec) -> Endpoint:
    """Return the view of a collection, which lists and creates records."""
    name, singular = spec.name, spec.singular
    schema = ref(singular.title())
    return endpoint(
        GET=Operation(
            partial(_list, collection=name),
            f"List {name}",
            answers(
                {
                    200: Answer(f"All {name}", ref(f"{singular.title()}List"), ("ETag", "Link")),
                    304: _KNOWN,
                }
            ),
            parameters=parameters_of(name),
            judges_query=True,
            area=name,
            writes=False,
        ),
        POST=Operation(
            partial(_create, collection=name),
            f"Add a {singular}",
            answers({201: Answer(f"The new {singular}", schema, ("Location", "ETag"))}, WITH_BODY),
            bodies={JSON: ref(f"{singular.title()}Input")},
            area=name,
        ),
    )


def bulk_view(spec: CollectionSpec) -> Endpoint:
    """Return the view for bulk changes of a collection."""
    name, singular = spec.name, spec.singular
    return endpoint(
        POST=Operation(
            partial(bulk, collection=name),
            f"Add, change and delete many {name}: all, or none",
            answers(
                {200: Answer("What was done", ref("BulkResult"))},
                (404, 409, 412, 428, *WITH_BODY),
            ),
            bodies={JSON: ref(f"{singular.title()}Bulk")},
            area=name,
        )
    )


quick_view = endpoint(
    POST=Operation(
        _quick,
        "Add a task by one line in plain words",
        answers({201: Answer("The new task", ref("Task"), ("Location", "ETag"))}, WITH_BODY),
        bodies={JSON: ref("QuickTask")},
        area="tasks",
        description="As on the page of tasks: a day and a time (`fri 17:00`), a repetition "
        "(`every monday`), `!high`, `#tag` and `+project`; all other words are the title.",
    )
)


def record_view(spec: CollectionSpec) -> Endpoint:
    """Return the view of a record."""
    name, singular = spec.name, spec.singular
    success = Answer(f"The {singular}", ref(singular.title()), ("ETag",))
    changed = answers({200: success, 204: _UNTOLD}, (404, 409, 412, 428, *WITH_BODY))
    patch = ref(f"{singular.title()}Patch")
    return endpoint(
        GET=Operation(
            partial(_get, collection=name),
            f"Read a {singular}",
            answers({200: success, 304: _KNOWN}, (404, 412)),
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
            bodies={JSON: patch, MERGE_PATCH: patch, JSON_PATCH: ref("JsonPatch")},
            area=name,
        ),
        DELETE=Operation(
            partial(_delete, collection=name),
            f"Delete a {singular}",
            answers({204: Answer("It is gone")}, (404, 409, 412, 428, 507)),
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

quota_view = endpoint(
    GET=Operation(
        _quota,
        "How many calls are left",
        answers({200: Answer("The limits, and what is left of them", ref("Quota"))}),
        writes=False,
        counted=False,
    )
)
