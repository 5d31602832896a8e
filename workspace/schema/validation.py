"""Create, change and validate records by the table of collections (`table`).

A record is a dict with the keys of its collection in the table's order, followed by unknown keys in
their own order. Unknown keys are never lost. All functions are pure: no store, no clock. The caller
checks whether references lead to existing records.
"""

import difflib
import hashlib
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Literal

import msgspec

from workspace.json_values import (
    ErrorList,
    FieldError,
    checked_copy,
    key_error,
    pointer_to,
    same_value,
)
from workspace.schema.collections import (
    ACTIVITY_FIELDS,
    COLLECTIONS,
    RECORD_COLLECTIONS,
    CollectionSpec,
    Record,
)
from workspace.schema.fields import Field, Kind
from workspace.texts import normal
from workspace.timestamps import ends_before, format_utc, normalize_time, parse_or_none, parse_time

__all__ = [
    "COLLECTIONS",
    "RECORD_COLLECTIONS",
    "CollectionSpec",
    "Field",
    "FieldError",
    "InvalidRecord",
    "Kind",
    "Record",
    "changed_record",
    "check_record",
    "check_user_document",
    "format_utc",
    "new_record",
    "parse_time",
    "record_version",
]

# "keep" stores unknown fields, "refuse_unknown" refuses them, "refuse" also refuses read-only ones.
# The first two ignore read-only ones, so a client can send back a record that it read before.
Unknown = Literal["keep", "refuse_unknown", "refuse"]

_PERIOD = ("start_date", "end_date")


class InvalidRecord(ValueError):
    """The record violates the rules. `errors` has each fault and its remedy.

    Only the first FAULTS_MAX faults are reported.
    """

    def __init__(self, errors: Iterable[FieldError]) -> None:
        self.errors = tuple(errors)
        super().__init__("; ".join(f"{e.pointer or 'the record'} {e.detail}" for e in self.errors))


def new_record(
    spec: CollectionSpec,
    data: object,
    *,
    record_id: int,
    owner: int,
    now: datetime,
    unknown: Unknown = "keep",
) -> Record:
    """Return a validated, complete record with id and timestamps. Raises `InvalidRecord`.

    `unknown` decides about unknown and read-only keys: see `Unknown`.
    """
    record = _merged(spec, {}, data, True, unknown)
    record |= {"id": record_id, "created_at": format_utc(now), "user_id": owner}
    return _stamped(spec, {}, record, now)


def changed_record(
    spec: CollectionSpec,
    before: Record,
    changes: object,
    *,
    now: datetime,
    replace: bool = False,
    unknown: Unknown = "keep",
) -> Record:
    """Return `before` with `changes` applied, in today's form. Raises `InvalidRecord`.

    A key with its stored value is not a change: it is neither validated nor, if unknown or
    read-only, refused. With `replace`, absent writable fields return to their defaults. Unknown
    keys always remain. The arguments are not modified. Unchanged values are shared with `before`.
    """
    return _stamped(spec, before, _merged(spec, before, changes, replace, unknown), now)


def record_version(record: Mapping[str, Any]) -> str:
    """Return an entity tag of a record's state, for `expect`."""
    text = msgspec.json.encode(record, order="sorted")
    return hashlib.blake2b(text, digest_size=12).hexdigest()


def check_record(spec: CollectionSpec, record: object) -> list[FieldError]:
    """Return the faults of a stored record of any age. Keys may be missing, times naive."""
    faults = ErrorList()
    _check_fields(spec.fields, record, "", faults)
    return faults.found


def check_user_document(document: object) -> list[FieldError]:
    """Return the faults of a stored user document of any age, including its activities."""
    faults = ErrorList()
    _check_fields(COLLECTIONS["users"].fields, document, "", faults)
    activities = document.get("activities") if isinstance(document, dict) else None
    for index, activity in enumerate(activities if isinstance(activities, list) else []):
        _check_fields(ACTIVITY_FIELDS, activity, pointer_to("/activities", index), faults)
    return faults.found


def _check_fields(fields: Iterable[Field], record: object, pointer: str, faults: ErrorList) -> None:
    if not isinstance(record, dict):
        faults.add(pointer, "must be an object")
        return
    for field in fields:
        if field.name in record:
            if not field.came_later and not field.has_shape(record[field.name]):
                faults.add(pointer_to(pointer, field.name), field.must_be)
        elif field.required:
            faults.add(pointer_to(pointer, field.name), f"is missing; it {field.must_be}")


def _merged(
    spec: CollectionSpec, before: Record, data: object, replace: bool, unknown: Unknown
) -> Record:
    """Return `before` with the valid changes of `data` and with defaults for missing fields."""
    faults = ErrorList()
    accepted = _accepted(spec, before, data, unknown, faults)
    after = before | accepted
    for field in spec.writable:
        if field.name in accepted or (field.name in before and not replace):
            continue
        if not field.required:
            after[field.name] = field.fresh_default()
        elif replace:
            faults.add(pointer_to("", field.name), f"is required; it {field.must_be}")
    _check_period(spec, before, after, faults)
    if faults.found:
        raise InvalidRecord(faults.found)
    return after


def _accepted(
    spec: CollectionSpec, before: Record, data: object, unknown: Unknown, faults: ErrorList
) -> Record:
    """Return the fields of `data` in stored form. Faults are added to `faults`."""
    if not isinstance(data, dict):
        raise InvalidRecord(
            [FieldError("", f"must be an object with the fields of a {spec.singular}")]
        )
    accepted: Record = {}
    for key, value in data.items():
        if faults.is_full:  # a body may have a hundred thousand unknown fields
            break
        field = spec.by_name.get(key)
        pointer = pointer_to("", key)
        if key in before and _is_same(field, before[key], value):
            accepted[key] = before[key]
        elif unfit := key_error(key):
            faults.add("", unfit)
        elif field is None and unknown != "keep":
            faults.add(pointer, _unknown_field(spec, key))
        elif field is None:
            accepted[normal(str.__str__(key))] = checked_copy(value, pointer, faults)
        elif not field.read_only:
            accepted[field.name] = field.accept(value, pointer, faults)
        elif unknown == "refuse":
            faults.add(pointer, "is set by NeuralFlow; leave it out")
    return accepted


def _unknown_field(spec: CollectionSpec, key: str) -> str:
    names = [field.name for field in spec.writable]
    near = difflib.get_close_matches(key, names, n=1)
    meant = f"; {near[0]} is meant, perhaps" if near else ""
    return f"is not a field of a {spec.singular}{meant}; its fields are {', '.join(names)}"


def _is_same(field: Field | None, stored: object, value: object) -> bool:
    """Return whether `value` equals the stored one.

    For a timestamp that NeuralFlow set, any notation of the same moment is equal: clients that
    parse it write it back in their own.
    """
    if same_value(stored, value):
        return True
    if field is None or field.kind is not Kind.TIME or not field.read_only:
        return False
    moment = parse_or_none(stored)
    return moment is not None and moment == parse_or_none(value)


def _check_period(spec: CollectionSpec, before: Record, after: Record, faults: ErrorList) -> None:
    start, end = (after.get(name) for name in _PERIOD)
    if not (start and end and all(name in spec.by_name for name in _PERIOD)):
        return
    readable = all(spec.by_name[name].has_shape(after[name]) for name in _PERIOD)
    unchanged = all(after[name] == before.get(name) for name in _PERIOD)
    if readable and not unchanged and ends_before(start, end):
        faults.add("/end_date", "must not be before start_date")


def _stamped(spec: CollectionSpec, before: Record, record: Record, now: datetime) -> Record:
    """Return `record` in stored form: timestamps set, old times normalized, keys in order."""
    record["updated_at"] = format_utc(now)
    if "completed_at" in spec.by_name:
        if record["status"] != "completed":
            record["completed_at"] = None
        elif before.get("status") != "completed":
            record["completed_at"] = format_utc(now)
        else:  # old records may lack it
            record.setdefault("completed_at", None)
    for field in spec.fields:
        value = record.get(field.name)
        if field.kind is Kind.TIME and value is not None and field.has_shape(value):
            record[field.name] = normalize_time(value)
    return spec.ordered(record)
