"""The components of the OpenAPI document: schemas of records, and all others.

`ref("Task")` in an operation refers to COMPONENTS["Task"]. `workspace.schema.json_schema`
generates those of
records from the table. The others are defined here.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

from api.json_patch import OPERATIONS_MAX, STEPS_MAX
from api.operation import ref
from api.problems import PROBLEMS
from workspace.json_values import FAULTS_MAX, INTEGER_MAX
from workspace.membership.members import FORMER_OWNERS
from workspace.records import bulk
from workspace.schema import json_schema
from workspace.schema.collections import MEMBER_STATUSES, ROLES
from workspace.schema.json_schema import Schema
from workspace.schema.validation import COLLECTIONS, RECORD_COLLECTIONS, CollectionSpec, new_record
from workspace.tasks.quick_add import LINE_CHARACTERS_MAX

_MOMENT = datetime(2026, 11, 23, 12, 4, 5, 123456, tzinfo=UTC)

# The records of the document's examples. A test creates them all.
EXAMPLES: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "tasks": {
            "title": "Train the baseline",
            "priority": "high",
            "due_date": "2026-11-27",
            "tags": ["ml"],
        },
        "projects": {
            "name": "Reading X-rays",
            "start_date": "2026-11-02",
            "technologies": ["PyTorch", "DICOM"],
            "budget": 12000,
        },
        "models": {
            "name": "xray-resnet50",
            "status": "training",
            "accuracy": 93.4,
            "hyperparameters": {"learning_rate": 0.0003},
        },
    }
)
_CHANGES = {
    "tasks": {"status": "completed", "metadata": {"seed": None}},
    "projects": {"end_date": "2026-12-18"},
    "models": {"status": "active", "performance_metrics": {"auroc": 0.97}},
}


def example_record(collection: str) -> dict[str, Any]:
    """Return the example in stored form."""
    spec = COLLECTIONS[collection]
    return new_record(spec, EXAMPLES[collection], record_id=3, owner=7, now=_MOMENT)


def _object(description: str, properties: Schema, *optional: str) -> Schema:
    """Return an object schema whose members are all required except the `optional` ones."""
    return {
        "type": "object",
        "description": description,
        "properties": properties,
        "required": [name for name in properties if name not in optional],
    }


_ID: Schema = {
    "type": "integer",
    "minimum": 1,
    "maximum": INTEGER_MAX,
    "description": json_schema.RULES_BEYOND["whole numbers"],
}
_OR_NULL: Schema = {"type": ["integer", "null"], "minimum": 1}
_TIME_OR_NULL: Schema = {"type": ["string", "null"], "format": "date-time"}
_NUMBER: Schema = {"type": "integer", "minimum": 0}
_COUNTS: Schema = {"type": "object", "additionalProperties": _NUMBER}


def _of_records(spec: CollectionSpec) -> dict[str, Schema]:
    name, example = spec.singular.title(), example_record(spec.name)
    part = json_schema.answer_schema(spec)
    part["description"] = f"A {spec.singular}, or those of its fields that were asked for."
    part["properties"] = {
        field: {key: value for key, value in schema.items() if key != "default"}
        for field, schema in part["properties"].items()
    }
    del part["required"]
    return {
        name: {**json_schema.answer_schema(spec), "examples": [example]},
        f"{name}Part": part,
        f"{name}List": _list(spec, f"{name}Part", example),
        f"{name}Input": {
            **json_schema.creation_schema(spec),
            "examples": [EXAMPLES[spec.name]],
        },
        f"{name}Replacement": {**json_schema.replacement_schema(spec), "examples": [example]},
        f"{name}Patch": {**json_schema.change_schema(spec), "examples": [_CHANGES[spec.name]]},
        f"{name}Bulk": _bulk(spec),
    }


def _bulk(spec: CollectionSpec) -> Schema:
    name = spec.singular.title()
    tag = {**json_schema.TEXT, "description": "As If-Match: what the record must be."}
    steps = [
        _asked(op={"const": "create"}, record=ref(f"{name}Input")),
        _asked(op={"const": "update"}, id=_ID, changes=ref(f"{name}Patch"), if_match=tag),
        _asked(op={"const": "delete"}, id=_ID, if_match=tag),
    ]
    for step in steps[1:]:
        step["required"].remove("if_match")
    example = [
        {"op": "create", "record": EXAMPLES[spec.name]},
        {"op": "update", "id": 3, "changes": _CHANGES[spec.name]},
        {"op": "delete", "id": 4},
    ]
    operations: Schema = {
        "description": "An id stands in one operation only.",
        "type": "array",
        "minItems": 1,
        "maxItems": bulk.OPERATIONS_MAX,
        "items": {"oneOf": steps},
    }
    return {**_asked(operations=operations), "examples": [{"operations": example}]}


def _bulk_result() -> Schema:
    result = _object(
        "What became of one operation.",
        {
            "op": {"enum": ["create", "update", "delete"]},
            "id": _ID,
            "record": {"type": ["object", "null"], "description": "Null where it is gone."},
            "etag": {"type": ["string", "null"], "description": "Of the record, for If-Match."},
        },
    )
    return _object(
        "In the order of the operations.", {"results": {"type": "array", "items": result}}
    )


def _list(spec: CollectionSpec, entry: str, example: Schema) -> Schema:
    members = {
        spec.name: {"type": "array", "items": ref(entry)},
        "total": {"description": "How many there are on all pages.", **_NUMBER},
        "next": {
            "type": ["string", "null"],
            "format": "uri-reference",
            "description": "Where the next page is; null on the last.",
        },
    }
    page = _object(f"{spec.name.title()}, in the order asked for.", members, "total", "next")
    return {**page, "examples": [{spec.name: [example], "total": 1}]}


def _dashboard() -> Schema:
    numbers = (
        "total_tasks",
        "completed_tasks",
        "overdue_tasks",
        "total_projects",
        "active_projects",
        "total_models",
        "active_models",
    )
    counts = ("tasks_by_status", "tasks_by_priority")
    figures = dict.fromkeys(numbers, _NUMBER) | dict.fromkeys(counts, _COUNTS)
    members = {
        "user": {
            "type": "object",
            "description": "The person's own document, without the activities.",
        },
        "statistics": _object("How many there are.", figures),
        "recent_activities": {"type": "array", "maxItems": 10, "items": {"type": "object"}},
    }
    return _object("The person, the figures, the ten latest activities, newest first.", members)


def _quota() -> Schema:
    burst = _object(
        "How many calls may come at once; after `window` seconds of rest all are free again.",
        dict.fromkeys(("limit", "window", "remaining", "resets_in"), _NUMBER),
    )
    no_limit = "null where there is no limit"
    may_be_none = {**_NUMBER, "type": ["integer", "null"], "description": no_limit}
    members = {
        "limit": may_be_none,
        "used": _NUMBER,
        "remaining": may_be_none,
        "resets_in": _NUMBER,
    }
    tokens = {"description": 'The calls of each token, by its id; "" is a page.', **_COUNTS}
    storage = _object(
        "Bytes used of the user's limit: by files, by versions set aside, and by the history of the"
        " user's changes, up to a share.",
        {
            "limit": may_be_none,
            "used": _NUMBER,
            "remaining": may_be_none,
            "files": _NUMBER,
            "set_aside": _NUMBER,
            "history": _NUMBER,
        },
    )
    return _object(
        "The calls of the hour, and the space.",
        {**members, "by_token": tokens, "burst": burst, "storage": storage},
    )


def _sharing() -> dict[str, Schema]:
    """Return the schemas of members and memberships."""
    role: Schema = {"enum": list(ROLES), "description": "A viewer reads, an editor changes."}
    member = _object(
        "A member of a project, or an invitation: to a user, or to an e-mail address.",
        {
            "user_id": _ID,
            "username": {"type": "string"},
            "invitation": {**_ID, "description": "The number of an invitation to an address."},
            "address": {"type": "string"},
            "role": role,
            "status": {"enum": list(MEMBER_STATUSES)},
            "invited_by": _OR_NULL,
            "invited_at": _TIME_OR_NULL,
            "since": _TIME_OR_NULL,
            "offered_at": {
                **_TIME_OR_NULL,
                "description": "When the member was offered to own the project.",
            },
        },
        *("user_id", "username", "invitation", "address"),
        *("invited_by", "invited_at", "since", "offered_at"),
    )
    shared = json_schema.answer_schema(COLLECTIONS["shared"])
    addressed = _object(
        "An open invitation to an e-mail address that the caller proved.",
        {
            "id": _ID,
            "address": {"type": "string"},
            "owner": _ID,
            "owner_name": {"type": "string"},
            "project_id": _ID,
            "project_name": {"type": "string"},
            "role": role,
            "status": {"const": "invited"},
            "invited_at": _TIME_OR_NULL,
        },
    )
    return {
        "AddressInvitation": addressed,
        "AddressInvitationList": _listed(
            "invitations", "The open invitations.", ref("AddressInvitation")
        ),
        "Declined": _object("The number of invitations that were declined.", {"declined": _NUMBER}),
        "BlockedList": _listed(
            "blocked",
            "The people who cannot invite you, the latest first.",
            _object("A person.", {"user_id": _ID, "username": {"type": "string"}}),
        ),
        "Member": member,
        "MemberList": _listed("members", "Who is in the project.", ref("Member")),
        "Shared": shared,
        "SharedList": _listed("shared", "What others share with you.", ref("Shared")),
        "Invitation": {
            **_asked(
                who={**json_schema.TEXT, "description": "A user name or an e-mail address."},
                role=role,
            ),
            "examples": [{"who": "bob", "role": "editor"}],
        },
        "RolePatch": {**_asked(role=role), "examples": [{"role": "viewer"}]},
        "AcceptPatch": {**_asked(status={"const": "member"}), "examples": [{"status": "member"}]},
        "Transfer": {
            **_asked(to={**_ID, "description": "The user id of a member."}),
            "examples": [{"to": 9}],
        },
        "Ownership": {
            **_asked(
                former_owner={
                    "enum": list(FORMER_OWNERS),
                    "description": "What the former owner stays in the project.",
                    "default": "viewer",
                }
            ),
            "required": [],
            "examples": [{"former_owner": "viewer"}],
        },
    }


def _listed(name: str, description: str, entry: Mapping[str, Any]) -> Schema:
    entries = {"type": "array", "items": entry}
    return _object(description, {name: entries, "total": _NUMBER})


def _asked(**members: Mapping[str, Any]) -> Schema:
    """Return the schema of a request body with exactly these members, all required."""
    return {
        "type": "object",
        "properties": members,
        "required": list(members),
        "additionalProperties": False,
    }


def _undoing() -> dict[str, Schema]:
    undone = _object(
        "What was taken back; of a single record, which.",
        {
            "description": {"type": "string", "description": "What had been done."},
            "collection": {"enum": list(RECORD_COLLECTIONS)},
            "id": _ID,
        },
        *("collection", "id"),
    )
    number: Schema = {
        "type": "integer",
        "minimum": 1,
        "maximum": INTEGER_MAX,
        "description": "The number of the change.",
    }
    return {"Undo": {**_asked(sequence=number), "examples": [{"sequence": 51}]}, "Undone": undone}


def _quick() -> Schema:
    line: Schema = {
        **json_schema.NAME,
        "maxLength": LINE_CHARACTERS_MAX,
        "description": "A task in one line of plain words.",
    }
    zone: Schema = {
        "type": "string",
        "pattern": "^[A-Za-z0-9_+/-]{1,64}$",
        "description": "An IANA time zone, in which the words are meant; if not given, the one "
        "that you chose, or UTC.",
        "examples": ["Europe/Madrid"],
    }
    example = {"text": "Train the baseline fri 17:00 !high #vision"}
    return {
        **_asked(text=line, time_zone=zone),
        "required": ["text"],
        "examples": [example],
    }


def _dates() -> Schema:
    members: Schema = {
        "text": {"type": "string"},
        "due_date": {
            "type": ["string", "null"],
            "description": "A date (2026-11-23) or a date-time in UTC; null where it is none.",
        },
        "repeat": {"type": "string", "description": "A rule of RFC 5545, or empty."},
        "time_zone": {"type": "string", "description": "In which the text was read."},
    }
    example = {"text": "next friday", "due_date": "2026-12-11", "repeat": "", "time_zone": "UTC"}
    return {**_object("What a text in plain words means.", members), "examples": [example]}


def _json_patch() -> Schema:
    pointer: Schema = {
        "type": "string",
        "pattern": f"^(/([^/~{json_schema.UNFIT}]|~[01])*){{0,{STEPS_MAX}}}$",
        "description": "A JSON Pointer (RFC 6901).",
    }
    value: Schema = {"description": "Any JSON value.", **ref("Value")}
    kinds = (("add", "replace", "test"), {"value": value}), (("move", "copy"), {"from": pointer})
    operations = [
        json_schema.FREE_OBJECT
        | _object(
            "What else it holds is passed over.",
            {"op": {"enum": list(names)}, "path": pointer, **more},
        )
        for names, more in (*kinds, (("remove",), {}))
    ]
    return {
        "type": "array",
        "description": "A JSON Patch (RFC 6902). What it makes of the record must be one.",
        "maxItems": OPERATIONS_MAX,
        "items": {"oneOf": operations},
        "examples": [[{"op": "add", "path": "/metadata/seed", "value": 7}]],
    }


def _problem() -> Schema:
    fault = _object(
        "One fault, where it is, and what to do about it.",
        {
            "pointer": {
                "type": "string",
                "description": "Where in the body: a JSON Pointer (RFC 6901).",
            },
            "parameter": {"type": "string", "description": "Which parameter of the query."},
            "file": {"type": "string", "description": "Which file of an archive."},
            "line": {"type": "integer", "minimum": 1, "description": "Which line of that."},
            "detail": {"type": "string"},
        },
        "pointer",
        "parameter",
        "file",
        "line",
    )
    fault["oneOf"] = [{"required": ["pointer"]}, {"required": ["parameter"]}]
    slugs = sorted({problem.slug for problem in PROBLEMS.values()})
    members = {
        "type": {
            "type": "string",
            "enum": [f"/problems/{slug}" for slug in slugs],
            "description": "The kind of problem. It is stable: decide by it.",
        },
        "title": {"type": "string"},
        "status": {"type": "integer", "minimum": 400, "maximum": 599},
        "detail": {"type": "string", "description": "For a person; it may change."},
        "instance": {
            "type": "string",
            "description": "Names the request, as X-Request-ID does: tell it to the operator.",
        },
        "errors": {"type": "array", "maxItems": FAULTS_MAX, "items": fault},
        "line": {"type": ["integer", "null"]},
        "column": {"type": ["integer", "null"]},
        "document": {"type": "string"},
        "current": {"type": "object", "description": "With 412: the record as it is now."},
    }
    optional = ("errors", "line", "column", "document", "current")
    return _object("What went wrong (RFC 9457).", members, *optional)


def _import_report() -> Schema:
    renumbered = {"type": "object", "additionalProperties": {"type": "integer", "minimum": 1}}
    counts = ("added", "changed", "unchanged", "removed", "skipped")
    tally = _object(
        "What becomes of the records of a collection; new ids by those in the archive.",
        dict.fromkeys(counts, _NUMBER) | {"renumbered": renumbered},
    )
    note = _object(
        "Why a record was skipped, what was mended, what is not taken from an archive.",
        {name: {"type": "string"} for name in ("file", "pointer", "detail")},
    )
    members = {
        "mode": {"enum": ["merge", "replace"]},
        "dry_run": {"type": "boolean"},
        "owner": {"type": "integer", "description": "Whose files they were, in the archive."},
        "collections": {
            "type": "object",
            "properties": dict.fromkeys(RECORD_COLLECTIONS, tally),
            "additionalProperties": False,
        },
        "notes": {"type": "array", "maxItems": FAULTS_MAX, "items": note},
        "further_notes": {**_NUMBER, "description": "How many notes are not told."},
    }
    return _object("What an import did, or would do.", members)


def _standing_here(schema: Any) -> Any:
    """Return a domain schema with references into the OpenAPI document."""
    if isinstance(schema, dict):
        return {
            key: ref("Value")["$ref"]
            if key == "$ref" and value == "#/$defs/value"
            else _standing_here(value)
            for key, value in schema.items()
        }
    return [_standing_here(item) for item in schema] if isinstance(schema, list) else schema


COMPONENTS: Mapping[str, Schema] = MappingProxyType(
    {
        name: _standing_here(schema)
        for name, schema in {
            "Value": json_schema.OUTER_VALUE,
            **{
                name: schema
                for collection in RECORD_COLLECTIONS
                for name, schema in _of_records(COLLECTIONS[collection]).items()
            },
            "Dashboard": _dashboard(),
            "ImportReport": _import_report(),
            "Quota": _quota(),
            **_undoing(),
            "QuickTask": _quick(),
            "Dates": _dates(),
            "BulkResult": _bulk_result(),
            **_sharing(),
            "JsonPatch": _json_patch(),
            "Problem": _problem(),
        }.items()
    }
)
