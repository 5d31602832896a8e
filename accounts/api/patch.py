"""Patches of records: JSON Merge Patch (RFC 7396) and JSON Patch (RFC 6902, `json_patch`).

Either is read first, and then tells what is to change in a record as it is at that moment. A record
has all its fields always. So null in a merge patch does not take a field away: it sets it to null,
and is refused where a field may not be null; inside a field, such as `metadata`, null removes. A
field that a JSON Patch removes returns to its default.
"""

from collections.abc import Callable, Mapping
from typing import Any

from accounts.api.json_patch import JsonPatch
from accounts.api.operations import JSON_PATCH
from utils.json.values import FieldError, pointer_to
from utils.records import CollectionSpec, InvalidRecord, Record


def patch_of(spec: CollectionSpec, media_type: str, body: Any) -> Callable[[Record], Any]:
    """What the body, a patch of this kind, changes in a record of the collection.

    Raises `InvalidPatch`; what it returns may raise `PatchFailed` and `InvalidRecord`, and takes
    a record of the caller's own.
    """
    if media_type == JSON_PATCH:
        patch = JsonPatch(body)
        return lambda record: _json_patched(spec, record, patch)
    return lambda record: record_patch(record, body)


def _json_patched(spec: CollectionSpec, record: Record, patch: JsonPatch) -> Any:
    """All fields of the record as the patch leaves them; those it removes return to defaults."""
    names = list(record)
    after = patch.applied_to(record)
    if not isinstance(after, dict):
        return after  # no record: the rules of the collection say so
    gone = [name for name in names if name not in after]
    optional = {field.name: field for field in spec.writable if not field.required}
    if faults := [name for name in gone if name not in optional]:
        raise InvalidRecord(FieldError(pointer_to("", n), "cannot be removed") for n in faults)
    return after | {name: optional[name].fresh_default() for name in gone}


def record_patch(record: Mapping[str, Any], patch: Any) -> Any:
    """The changes that the merge patch asks for: objects in it are merged into the record's own."""
    if not isinstance(patch, dict):
        return patch  # no record: the rules of the collection say so
    return {
        name: _merged(record.get(name), value) if isinstance(value, dict) else value
        for name, value in patch.items()
    }


def _merged(target: Any, patch: Any) -> Any:
    if not isinstance(patch, dict):
        return patch
    merged = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = _merged(merged.get(name), value)
    return merged
