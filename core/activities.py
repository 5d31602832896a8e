"""The activities that the pages log: what was done to which record, and from where."""

from collections.abc import Callable, Mapping
from typing import Any

from utils.json_storage import Activity
from utils.middleware import StorageRequest, request_metadata
from utils.records import CollectionSpec

_DONE = {"created": "Added", "updated": "Changed", "completed": "Completed", "deleted": "Deleted"}


def activity_of(
    request: StorageRequest, spec: CollectionSpec, done: str
) -> Callable[[Mapping[str, Any]], Activity]:
    """The activity for a record, given by the manager; `done` is one of created, updated,
    completed, deleted."""

    def of_record(record: Mapping[str, Any]) -> Activity:
        return Activity(
            type=f"{spec.singular}_{done}",
            description=f"{_DONE[done]} {spec.singular} “{record.get(spec.title_field, '')}”",
            metadata={f"{spec.singular}_id": record["id"], **request_metadata(request)},
        )

    return of_record
