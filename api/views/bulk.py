"""Bulk changes: several changes of a collection in one commit."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from django.conf import settings
from django.http import HttpResponse

from api.merge_patch import record_patch
from api.metering import call_metadata, idempotency_key, replayed
from api.parsing import read_json
from api.preconditions import etag, refuse_conditions
from api.problems import PreconditionRequired
from api.request import ApiRequest
from api.responses import json_response
from utils.middleware import request_metadata
from workspace.json_values import ErrorList, pointer_to
from workspace.schema.validation import InvalidRecord, Record, record_version
from workspace.users.document import Activity

_DONE = {"create": "created", "update": "updated", "delete": "deleted"}


def bulk(request: ApiRequest, collection: str, owner: int | None = None) -> HttpResponse:
    """Handle a collection's `bulk/`."""
    refuse_conditions(request)
    operations = _operations(read_json(request))
    if settings.NEURALFLOW_REQUIRE_IF_MATCH and not _all_stated(operations):
        raise PreconditionRequired("Give each update and delete the record's ETag as if_match.")
    once = idempotency_key(request)

    def activity(done: Mapping[str, Any]) -> Activity:
        return _activity(request, collection, done["results"])

    results = request.json_storage.bulk(
        collection,
        owner or request.caller.user_id,
        operations,
        patch=record_patch,
        caller=request.caller,
        once=once,
        activity=activity,
        metered=True,
        unknown="refuse",
    )
    return json_response(
        {"results": [_tagged(result) for result in results]}, headers=replayed(once)
    )


def _operations(body: Any) -> Any:
    """Return the operations of the body, for the manager to validate. Raises `InvalidRecord`."""
    faults = ErrorList()
    if not isinstance(body, dict):
        faults.add("", "must be an object with operations")
    else:
        for name in body.keys() - {"operations"}:
            faults.add(pointer_to("", name), "is not taken here; operations is")
    if faults.found:
        raise InvalidRecord(faults.found)
    return body.get("operations")


def _all_stated(operations: Any) -> bool:
    """Return whether all updates and deletes have a precondition.

    Malformed operations are ignored here and refused later.
    """
    changes = operations if isinstance(operations, list) else []
    return all(
        "if_match" in change
        for change in changes
        if isinstance(change, dict) and change.get("op") in ("update", "delete")
    )


def _tagged(result: Record) -> Record:
    """Add the entity tag of the resulting record to a result."""
    record = result["record"]
    return result | {"etag": record and etag(record_version(record))}


def _activity(request: ApiRequest, collection: str, results: list[Record]) -> Activity:
    counts = Counter(_DONE[result["op"]] for result in results)
    words = ", ".join(f"{count} {done}" for done, count in counts.items())
    metadata = {**counts, **call_metadata(request), **request_metadata(request)}
    return Activity(f"{collection}_changed", f"Many {collection} at once: {words}", metadata)
