"""JSON Schemas (draft 2020-12) of all files and API requests, generated from the table.

A schema accepts exactly what `records` accepts, except for rules that JSON Schema cannot express.
RULES_BEYOND lists those, and the description of each schema names the ones that apply to it.

Patterns are written for ECMA-262 and mean the same in every engine: no \\d, \\s or \\w.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any

from workspace.json_values import INTEGER_MAX, KEY_CHARACTERS_MAX, NESTING_MAX
from workspace.recurrence import REPEAT_PATTERN
from workspace.schema.collections import (
    ACTIVITY_FIELDS,
    COLLECTIONS,
    KEPT_COLLECTIONS,
    RECORD_COLLECTIONS,
    CollectionSpec,
)
from workspace.schema.fields import (
    ENTRIES_MAX,
    ENTRY_CHARACTERS_MAX,
    ITEM_CHARACTERS_MAX,
    ITEMS_MAX,
    TIME_ZONE_CHARACTERS_MAX,
    Field,
    Kind,
)
from workspace.timestamps import TIME_PATTERN

Schema = dict[str, Any]

DIALECT = "https://json-schema.org/draft/2020-12/schema"
FOLDER = "/schemas/v1/"

RULES_BEYOND: Mapping[str, str] = MappingProxyType(
    {
        "whole numbers": "A whole number stands there without fraction and exponent: 1, not 1.0.",
        "years": "A moment lies within the years 1 to 9999 in UTC.",
        "large integers": f"A number beyond ±{INTEGER_MAX} is written with a fraction or exponent.",
        "nesting": f"Lists and objects are nested at most {NESTING_MAX} levels deep in a field.",
        "period": "end_date is not before start_date.",
        "repeats": "The parts of a rule go together, and the day of UNTIL is one.",
        "time zones": "A time zone is one of the IANA database.",
        "references": "A reference is the id of a record that is there.",
        "as stored": "A field that NeuralFlow sets, or does not know, may be given with the value"
        " that it has, and with no other.",
    }
)

# White space by Python's definition, the white space that a text may have, control characters.
_SPACE = (
    r"\u0009-\u000d\u001c-\u001f\u0020\u0085\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
)
_SPACE_IN_TEXT = r"\u0009\u000a\u000d" + _SPACE[_SPACE.index(r"\u0020") :]
_CONTROL = r"\u0000-\u001f\u007f-\u009f\u200b\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufeff"
_NOT_BLANK = f"[^{_SPACE}]"
_ONE_LINE: Schema = {"not": {"pattern": f"[{_CONTROL}]"}}
UNFIT = r"\u0000-\u0008\u000b\u000c\u000e-\u001f"  # characters that no text of a body may have
_SEVERAL_LINES: Schema = {"not": {"pattern": f"[{UNFIT}]"}}

_ID: Schema = {"type": "integer", "minimum": 1, "maximum": INTEGER_MAX}
_COUNT: Schema = {"type": "integer", "minimum": 0, "maximum": INTEGER_MAX}
TIME: Schema = {"type": "string", "pattern": f"^({TIME_PATTERN})$"}
TEXT: Schema = {"type": "string", **_SEVERAL_LINES}  # any text that a body may have

# The content of objects with keys that users choose.
_FREE: Schema = {"$ref": "#/$defs/value"}
FREE_OBJECT: Schema = {
    "type": "object",
    "propertyNames": {"maxLength": KEY_CHARACTERS_MAX, **_ONE_LINE},
    "additionalProperties": _FREE,
}
_VALUE_RULE = "Any JSON value whose texts hold no control character but line break and tab."
_PLAIN: list[Schema] = [{"type": ["null", "boolean", "number"]}, TEXT]
VALUE: Schema = {
    "description": _VALUE_RULE,
    "anyOf": [*_PLAIN, {"type": "array", "items": _FREE}, FREE_OBJECT],
}
# The same for client generators: most of them drop schemas that refer to a recursive schema, and
# the operations that use them. Inner values are therefore only described.
OUTER_VALUE: Schema = {
    "description": f"{_VALUE_RULE} So do those further inside.",
    "anyOf": [
        *_PLAIN,
        {"type": "array", "items": {}},
        {**FREE_OBJECT, "additionalProperties": {}},
    ],
}


# Fields


def _title(field: Field) -> Schema:
    """Return the schema of a title, whose pattern allows for stripping before measuring."""
    inner = f"[^{_SPACE}{_CONTROL}]"
    line = f"[^{_CONTROL}]{{0,{(field.characters_max or 2) - 2}}}"
    around = f"[{_SPACE_IN_TEXT}]*"
    return {"type": "string", "pattern": f"^{around}{inner}({line}{inner})?{around}$"}


def _text(field: Field, characters: Schema) -> Schema:
    return {"type": "string", "maxLength": field.characters_max, **characters}


def _limited(field: Field, schema: Schema) -> Schema:
    limits = {"minimum": field.minimum, "maximum": field.maximum}
    return schema | {name: limit for name, limit in limits.items() if limit is not None}


def _entries(entry: Schema) -> Schema:
    return {"type": "array", "items": entry}


NAME: Schema = {"type": "string", "pattern": _NOT_BLANK, **_ONE_LINE}
_ITEM: Schema = {
    "type": "object",
    "properties": {
        "text": {**NAME, "maxLength": ITEM_CHARACTERS_MAX},
        "done": {"type": "boolean"},
    },
    "required": ["text", "done"],
    "additionalProperties": False,
}
_INTEGER: Schema = {"type": "integer", "minimum": -INTEGER_MAX, "maximum": INTEGER_MAX}

# By kind: the schema of stored values of any age, and the schema of values to write.
_STORED: Mapping[Kind, Callable[[Field], Schema]] = {
    Kind.TITLE: lambda _: {"type": "string", "pattern": _NOT_BLANK},
    Kind.LINE: lambda _: {"type": ["string", "null"]},
    Kind.TEXT: lambda _: {"type": ["string", "null"]},
    Kind.CHOICE: lambda field: {"type": "string", "enum": list(field.choices)},
    Kind.OPEN_CHOICE: lambda field: {"type": "string", "examples": list(field.choices)},
    Kind.TIME: lambda _: TIME,
    Kind.TEXTS: lambda _: _entries({}),
    Kind.MEMBERS: lambda _: _entries({}),
    Kind.OBJECT: lambda _: {"type": "object"},
    Kind.OBJECTS: lambda _: _entries({}),
    Kind.NUMBER: lambda _: {"type": "number"},
    Kind.INTEGER: lambda _: {"type": "integer"},
    Kind.BOOLEAN: lambda _: {"type": "boolean"},
    Kind.ID: lambda _: _ID,
    Kind.REFERENCE: lambda _: _ID,
    Kind.REPEAT: lambda _: {"type": "string"},
    Kind.TIME_ZONE: lambda _: {"type": "string"},
    Kind.CHECKLIST: lambda _: _entries({}),
}
_WRITTEN: Mapping[Kind, Callable[[Field], Schema]] = {
    **_STORED,
    Kind.TITLE: _title,
    Kind.LINE: lambda field: _text(field, _ONE_LINE),
    Kind.TEXT: lambda field: _text(field, _SEVERAL_LINES),
    Kind.OPEN_CHOICE: lambda field: {
        **_text(field, _ONE_LINE),
        "pattern": _NOT_BLANK,
        "examples": list(field.choices),
    },
    Kind.TEXTS: lambda _: {
        **_entries({**NAME, "maxLength": ENTRY_CHARACTERS_MAX}),
        "maxItems": ENTRIES_MAX,
    },
    Kind.MEMBERS: lambda _: _entries({"anyOf": [_ID, NAME, FREE_OBJECT]}),
    Kind.OBJECT: lambda _: FREE_OBJECT,
    Kind.OBJECTS: lambda _: _entries(FREE_OBJECT),
    Kind.NUMBER: lambda field: _limited(field, {"type": "number"}),
    Kind.INTEGER: lambda field: _limited(field, _INTEGER),
    Kind.REPEAT: lambda field: {
        "type": "string",
        "maxLength": field.characters_max,
        "pattern": f"^({REPEAT_PATTERN})$",
    },
    Kind.TIME_ZONE: lambda _: {
        "type": "string",
        "pattern": f"^[A-Za-z0-9_+/-]{{0,{TIME_ZONE_CHARACTERS_MAX}}}$",
        "examples": ["Europe/Madrid"],
    },
    Kind.CHECKLIST: lambda _: {**_entries(_ITEM), "maxItems": ITEMS_MAX},
}


_OLDER_RECORDS = "Older records may hold anything here."


def stored_field(field: Field) -> Schema:
    """Return the schema of the field in stored records of any age."""
    schema = _told(field, _STORED[field.kind](field))
    if field.came_later:
        return {"description": f"{schema['description']} {_OLDER_RECORDS}"}
    return schema


def typed_field(field: Field) -> Schema:
    """Return the schema of the field in responses, always with a type for generated clients.

    A timestamp that NeuralFlow sets is a `date-time`. A time that users set may be a date, so it is
    a plain string: a client that parsed "2026-11-27" as a moment would send back a different time.
    A field that came later has its type or null.
    """
    schema = _STORED[field.kind](field)
    if field.kind is Kind.TIME and field.read_only:
        schema = {"type": "string", "format": "date-time"}
    described = _told(field, schema)
    if field.came_later:
        kinds = described["type"] if isinstance(described["type"], list) else [described["type"]]
        described["type"] = list(dict.fromkeys([*kinds, "null"]))
        described["description"] += f" {_OLDER_RECORDS}"
    return described


def written_field(field: Field) -> Schema:
    """Return the schema of values to write into the field.

    The default is only in the description. Generated clients send a `default`, so a patch of one
    field would reset all others.
    """
    described = _told(field, _WRITTEN[field.kind](field))
    if "default" in described:
        default = json.dumps(described.pop("default"))
        described["description"] += f" A new record has {default} unless told otherwise."
    return described


def _told(field: Field, schema: Schema) -> Schema:
    rule = field.must_be.removeprefix("must be ")
    text = f"{rule[0].upper()}{rule[1:]}. {field.help}".strip()
    if field.nullable and schema["type"] != ["string", "null"]:
        schema = schema | {"type": [schema["type"], "null"]}
    default = {} if field.required or field.read_only else {"default": field.fresh_default()}
    return {"description": text, **schema, **default}


# Records


def record_schema(spec: CollectionSpec) -> Schema:
    """Return the schema of a stored record. Old records may lack keys."""
    return {
        **_described(f"A {spec.singular} as it is stored.", ("whole numbers", "years")),
        **_stored_object(spec.fields),
    }


def answer_schema(spec: CollectionSpec) -> Schema:
    """Return the schema of a record in a response, with a type for every field.

    Old records may lack keys.
    """
    return {
        **_described(f"A {spec.singular}.", ("whole numbers", "years")),
        **_stored_object(spec.fields, typed_field),
    }


def creation_schema(spec: CollectionSpec) -> Schema:
    """Return the schema of the request that creates a record."""
    rules = _rules_of(spec)
    required = [field.name for field in spec.writable if field.required]
    return {
        **_described(f"What a new {spec.singular} is made from.", rules),
        **_written_object(spec.writable),
        "required": required,
    }


def change_schema(spec: CollectionSpec) -> Schema:
    """Return the schema of the request that changes a record, a JSON Merge Patch (RFC 7396)."""
    rules = (*_rules_of(spec), "as stored")
    described = _described(f"Changes of a {spec.singular}, as a merge patch (RFC 7396).", rules)
    return {**described, **_written_object(spec.fields)}


def replacement_schema(spec: CollectionSpec) -> Schema:
    """Return the schema of the request that replaces a record. Absent fields get their defaults."""
    described = _described(
        f"What a {spec.singular} is replaced by.", (*_rules_of(spec), "as stored")
    )
    required = [field.name for field in spec.writable if field.required]
    return {**described, **_written_object(spec.fields), "required": required}


def _stored_object(
    fields: Iterable[Field], schema_of: Callable[[Field], Schema] = stored_field
) -> Schema:
    fields = tuple(fields)
    return {
        "type": "object",
        "properties": {field.name: schema_of(field) for field in fields},
        "required": [field.name for field in fields if field.required],
    }


def _written_object(fields: Iterable[Field]) -> Schema:
    """Return an object schema with these fields only. Fields that NeuralFlow sets are read-only."""
    return {
        "type": "object",
        "properties": {
            field.name: {**stored_field(field), "readOnly": True}
            if field.read_only
            else written_field(field)
            for field in fields
        },
        "additionalProperties": False,
    }


def _rules_of(spec: CollectionSpec) -> tuple[str, ...]:
    """Return the names of the rules beyond JSON Schema that apply to writes of a collection."""
    own = {
        "period": "end_date" in spec.by_name,
        "repeats": "repeat" in spec.by_name,
        "time zones": "time_zone" in spec.by_name,
        "references": any(field.refers_to and not field.read_only for field in spec.fields),
    }
    general = ("years", "large integers", "nesting")
    return (*general, *(name for name, holds in own.items() if holds))


def _described(text: str, rules: Iterable[str]) -> Schema:
    return {"description": " ".join([text, *(RULES_BEYOND[name] for name in rules)])}


# Files


def file_schema(spec: CollectionSpec) -> Schema:
    """Return the schema of a document file: head fields and records."""
    head: Schema = {
        "$schema": {"description": "Where this schema is, for editors."},
        "revision": {"description": "How many changes made the document.", **_COUNT},
        "last_id": {"description": "The highest id ever given to a record.", **_COUNT},
    }
    if spec.name == "users":
        person = _stored_object(spec.fields)
        activities = {**_entries(_stored_object(ACTIVITY_FIELDS)), "description": "Oldest first."}
        person["properties"] |= {"activities": activities, **head}
        return {**_described("A person's own file.", ("whole numbers", "years")), **person}
    updated_at = stored_field(COLLECTIONS["tasks"].by_name["updated_at"])
    records = {"type": "array", "items": record_schema(spec)}
    return {
        **_described(f"The {spec.name} of one person.", ()),
        "type": "object",
        "properties": {**head, "updated_at": updated_at, spec.layout.records: records},
    }


def _published() -> Mapping[str, Schema]:
    made: dict[str, Schema] = {name: file_schema(spec) for name, spec in COLLECTIONS.items()}
    for name in KEPT_COLLECTIONS:
        made[COLLECTIONS[name].singular] = record_schema(COLLECTIONS[name])
    for name in RECORD_COLLECTIONS:
        spec = COLLECTIONS[name]
        made[spec.singular] = record_schema(spec)
        made[f"{spec.singular}-new"] = creation_schema(spec)
        made[f"{spec.singular}-changes"] = change_schema(spec)
        made[f"{spec.singular}-replacement"] = replacement_schema(spec)
    return MappingProxyType({name: _whole(name, schema) for name, schema in made.items()})


def _whole(name: str, schema: Schema) -> Schema:
    """Return a schema as a self-contained document."""
    return {
        "$schema": DIALECT,
        # A relative reference is valid at every address of the server.
        "$id": f"{FOLDER}{name}.json",
        "title": name,
        **schema,
        "$defs": {"value": VALUE},
    }


SCHEMAS: Mapping[str, Schema] = _published()
