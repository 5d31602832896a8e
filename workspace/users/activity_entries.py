"""Build the activities that describe changes made through pages and the API."""

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from workspace.schema.validation import CollectionSpec
from workspace.users.document import Activity

_WORDS = {"created": "Added", "updated": "Changed", "completed": "Completed", "deleted": "Deleted"}


def activity_of(
    metadata: Mapping[str, str], spec: CollectionSpec, done: str, **told: Any
) -> Callable[[Mapping[str, Any]], Activity]:
    """Return a function that builds the activity for a stored record.

    `done` is "created", "updated" or "deleted". An update that completes the record is logged as
    "completed". `metadata` is that of the request, and `told` is added to it.
    """

    def of_record(record: Mapping[str, Any]) -> Activity:
        action = "completed" if done == "updated" and _just_completed(record) else done
        return Activity(
            type=f"{spec.singular}_{action}",
            description=f"{_WORDS[action]} {spec.singular} “{record.get(spec.title_field, '')}”",
            metadata={"id": record["id"], **told, **metadata},
        )

    return of_record


def bulk_activity_of(
    metadata: Mapping[str, str], spec: CollectionSpec, **told: Any
) -> Callable[[Mapping[str, Any]], Activity]:
    """Return a function that builds the activity for the result of a bulk request, with counts."""

    def of_answer(answer: Mapping[str, Any]) -> Activity:
        counts = Counter(result["op"] for result in answer["results"])
        verbs = {"create": "added", "update": "changed", "delete": "deleted"}
        words = ", ".join(f"{verbs[op]} {count}" for op, count in counts.items())
        return Activity(
            type=f"{spec.name}_changed",
            description=f"{words} of {spec.name}".capitalize(),
            metadata={**counts, **told, **metadata},
        )

    return of_answer


def undo_activity_of(
    metadata: Mapping[str, str], **told: Any
) -> Callable[[Mapping[str, Any]], Activity]:
    """Return a function that builds the activity for the result of `JSONStorageManager.undo`."""

    def of_undoing(undone: Mapping[str, Any]) -> Activity:
        about = {name: undone[name] for name in ("collection", "id") if name in undone}
        return Activity(
            type="change_undone",
            description=f"Undid: {undone['description']}",
            metadata={**about, **told, **metadata},
        )

    return of_undoing


def _just_completed(record: Mapping[str, Any]) -> bool:
    """Return True if the last change of the record completed it."""
    completed_at = record.get("completed_at")
    return completed_at is not None and completed_at == record.get("updated_at")
