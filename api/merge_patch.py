"""Apply patches to records: JSON Merge Patch (RFC 7396) and JSON Patch (RFC 6902).

A patch is parsed first, and applied to the record in the transaction. Records always have all
fields. Therefore null in a merge patch does not remove a field but sets it to null, which is
refused for fields that are not nullable. Inside a field, such as `metadata`, null removes. A field
that a JSON Patch removes returns to its default.
"""

from collections.abc import Callable, Mapping
from typing import Any

from api.json_patch import JsonPatch
from api.operation import JSON_PATCH
from workspace.json_values import FieldError, pointer_to
from workspace.schema.validation import CollectionSpec, InvalidRecord, Record


def patch_of(spec: CollectionSpec, media_type: str, body: Any) -> Callable[[Record], Any]:
    """Parse the patch, and return a function from a record to its changes.

    Raises `InvalidPatch`. The function may raise `PatchFailed` and `InvalidRecord`. It modifies the
    record that it gets.
    """
    if media_type == JSON_PATCH:
        patch = JsonPatch(body)
        return lambda record: _json_patched(spec, record, patch)
    return lambda record: record_patch(record, body)


def _json_patched(spec: CollectionSpec, record: Record, patch: JsonPatch) -> Any:
    """Return all fields of the patched record. Removed fields return to their defaults."""
    names = list(record)
    after = patch.applied_to(record)
    if not isinstance(after, dict):
        return after  # not a record, which validation will refuse
    gone = [name for name in names if name not in after]
    optional = {field.name: field for field in spec.writable if not field.required}
    if faults := [name for name in gone if name not in optional]:
        raise InvalidRecord(FieldError(pointer_to("", n), "cannot be removed") for n in faults)
    return after | {name: optional[name].fresh_default() for name in gone}


def record_patch(record: Mapping[str, Any], patch: Any) -> Any:
    """Return the changes of a merge patch. Objects are merged into those of the record."""
    if not isinstance(patch, dict):
        return patch  # not a record, which validation will refuse
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
