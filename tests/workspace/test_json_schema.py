"""The JSON Schemas say what the table says, and each rule that they cannot say has a name."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.examples import examples
from utils.json_storage import JSONStorageManager, json_storage
from workspace.json_values import INTEGER_MAX, NESTING_MAX
from workspace.schema.collections import ACTIVITY_FIELDS, CollectionSpec
from workspace.schema.fields import Field, Kind
from workspace.schema.json_schema import DIALECT, FOLDER, RULES_BEYOND, SCHEMAS
from workspace.schema.validation import (
    COLLECTIONS,
    RECORD_COLLECTIONS,
    InvalidRecord,
    changed_record,
    check_record,
    check_user_document,
    new_record,
)

NOW = datetime(2026, 11, 23, 12, 4, 5, 123456, tzinfo=UTC)
GOLDEN = Path(__file__).parents[1] / "golden"
SPECS = [COLLECTIONS[name] for name in RECORD_COLLECTIONS]
VALIDATORS = {name: jsonschema_rs.validator_for(schema) for name, schema in SCHEMAS.items()}

each_collection = pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.name)

# ---- What records are made of: good, bad, and at the edge

UNICODE = st.characters(codec="utf-8")
TEXTS = st.one_of(
    st.text(UNICODE, max_size=12),
    st.text(
        st.sampled_from(" \t\n\r\v\f\x00\x1c\x1f\x85\xa0\u1680\u2028\u3000\ufeff\u200bab"),
        max_size=4,
    ),
    st.builds(
        lambda left, size, right: left + "x" * size + right,
        st.sampled_from(["", " ", "\n", "\u3000"]),
        st.sampled_from([0, 1, 49, 50, 51, 199, 200, 201, 50_000, 50_001]),
        st.sampled_from(["", " ", "\t"]),
    ),
)
TIMES = st.one_of(
    st.builds(
        "{:04}-{:02}-{:02}{}{}".format,
        st.sampled_from([0, 1, 4, 100, 400, 1900, 2000, 2023, 2024, 9999]),
        st.integers(0, 13),
        st.sampled_from([0, 1, 28, 29, 30, 31, 32]),
        st.sampled_from(
            ["", "T00:00", " 23:59:59", "t12:00:00.123456789", "T24:00", "T12:60", "T1:00"]
        ),
        st.sampled_from(["", "Z", "z", "+01:00", "-2359", "+24:00", "+00:60", "\n", "+01"]),
    ),
    st.datetimes(timezones=st.none() | st.just(UTC)).map(datetime.isoformat),
    st.dates().map(lambda day: day.isoformat()),
)
NUMBERS = st.one_of(
    st.integers(-3, 103),
    st.sampled_from(
        [INTEGER_MAX, INTEGER_MAX + 1, -INTEGER_MAX - 1, 10**18, 1.0, 1e300, -0.5, 100.5]
    ),
    st.floats(allow_nan=False, allow_infinity=False),
)
KEYS = st.one_of(
    st.text(UNICODE, max_size=5), st.sampled_from(["k" * 200, "k" * 201, "a\nb", "\x7f"])
)
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS | TIMES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=6,
)
LISTS = st.one_of(
    st.lists(st.text(UNICODE, min_size=1, max_size=4), max_size=3),
    st.builds(lambda size: ["tag"] * size, st.sampled_from([50, 51])),
    st.lists(TEXTS | NUMBERS | st.dictionaries(KEYS, VALUES, max_size=2), max_size=3),
)
OBJECTS = st.dictionaries(KEYS, VALUES, max_size=3)
REPEAT_PARTS = [
    *("FREQ=DAILY", "FREQ=WEEKLY", "FREQ=MONTHLY", "FREQ=YEARLY", "FREQ=HOURLY", "freq=DAILY"),
    *("INTERVAL=1", "INTERVAL=999", "INTERVAL=0", "INTERVAL=1000", "COUNT=3", "COUNT=03"),
    *("BYDAY=MO", "BYDAY=MO,FR", "BYDAY=-1FR,+2MO", "BYDAY=6MO", "BYMONTHDAY=31,-1", "BYMONTH=2"),
    *("BYMONTHDAY=0", "BYSETPOS=-1", "UNTIL=20261231", "UNTIL=20260230", "UNTIL=20261231T235959Z"),
    *("BYMONTH=13", "WKST=SU", ""),
]
REPEATS = st.one_of(
    st.lists(st.sampled_from(REPEAT_PARTS), max_size=4).map(";".join),
    st.builds("FREQ=YEARLY;BYMONTH={}{}".format, st.just("1"), st.sampled_from(["", ",12" * 60])),
    TEXTS,
)
ITEMS = st.fixed_dictionaries(
    {"text": TEXTS | st.just("Label images"), "done": st.booleans() | st.just(1)},
    optional={"due": st.none()},
)
CHECKLISTS = st.one_of(
    st.lists(ITEMS, max_size=2),
    st.builds(lambda size: [{"text": "x", "done": True}] * size, st.sampled_from([100, 101])),
    LISTS,
)

LIKELY: dict[Kind, st.SearchStrategy[Any]] = {
    Kind.TIME: TIMES,
    Kind.TEXTS: LISTS,
    Kind.MEMBERS: LISTS,
    Kind.OBJECT: OBJECTS,
    Kind.OBJECTS: st.lists(OBJECTS, max_size=2),
    Kind.NUMBER: NUMBERS,
    Kind.INTEGER: NUMBERS,
    Kind.ID: NUMBERS,
    Kind.REFERENCE: NUMBERS,
    Kind.BOOLEAN: st.booleans(),
    Kind.REPEAT: REPEATS,
    Kind.TIME_ZONE: st.sampled_from(["", "UTC", "Asia/Tokyo", "Mars/Base"]),
    Kind.CHECKLIST: CHECKLISTS,
}


def fitting(field: Field) -> st.SearchStrategy[Any]:
    """Values that mostly have the field's shape."""
    likely = LIKELY.get(field.kind, TEXTS)
    if field.choices:
        likely = st.sampled_from(field.choices) | likely
    # Mostly: else hardly any record would be a good one.
    return st.one_of(likely, likely, likely, likely, st.none(), VALUES)


def described(fields: tuple[Field, ...]) -> st.SearchStrategy[dict[str, Any]]:
    """Records of a few of the fields, those that are needed mostly among them."""
    needed = {
        f.name: st.just("Train") if f.kind is Kind.TITLE else st.just(3)
        for f in fields
        if f.required
    }
    some = st.lists(st.sampled_from(fields), max_size=3, unique_by=id).flatmap(
        lambda chosen: st.fixed_dictionaries({f.name: fitting(f) for f in chosen})
    )
    strange = st.dictionaries(
        st.sampled_from(["titel", "$schema", "__proto__"]), VALUES, max_size=1
    )
    return st.builds(
        lambda first, second, third, bare: (third | second) if bare else (first | third | second),
        st.fixed_dictionaries(needed),
        some,
        strange | st.just({}),
        st.sampled_from([False] * 7 + [True]),
    )


# ---- The rules that JSON Schema cannot say


def rules_touched(record: object) -> set[str]:
    """Which of RULES_BEYOND a record may break."""
    touched = set()
    for value, depth in parts(record):
        if depth > NESTING_MAX + 1:  # the record is a level, too
            touched.add("nesting")
        if isinstance(value, float) and value.is_integer():
            touched.add("whole numbers")
        if type(value) is int and abs(value) > INTEGER_MAX:
            touched.add("large integers")
        if isinstance(value, str) and value[:4] in {"0001", "9999"}:
            touched.add("years")
        if isinstance(value, str) and "=" in value:
            touched.add("repeats")
    if isinstance(record, dict):
        if record.get("time_zone"):
            touched.add("time zones")
        if record.get("start_date") and record.get("end_date"):
            touched.add("period")
        known = {field.name for spec in SPECS for field in spec.fields if field.read_only}
        if known & record.keys():
            touched.add("as stored")
    return touched


def parts(value: object, depth: int = 1) -> list[tuple[object, int]]:
    below = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [(value, depth), *(part for one in below for part in parts(one, depth + 1))]


def agree(name: str, record: object, faults: object) -> None:
    """What the table takes, the schema takes; what only the schema takes breaks a rule it names."""
    errors = [error.message for error in VALIDATORS[name].iter_errors(record)]
    if not faults:
        assert not errors, (name, record, errors)
    elif not errors:
        told = {rule for rule in RULES_BEYOND if RULES_BEYOND[rule] in SCHEMAS[name]["description"]}
        assert rules_touched(record) & told, (name, record, faults)


def refusal(action: Any, *arguments: Any, **named: Any) -> str:
    try:
        action(*arguments, **named)
    except InvalidRecord as fault:
        return str(fault)
    return ""


MANY = settings(max_examples=examples(100), deadline=None)


@each_collection
@MANY
@given(data=st.data())
def test_stored_records(spec: CollectionSpec, data: st.DataObject) -> None:
    record = data.draw(described(spec.fields))
    agree(spec.singular, record, check_record(spec, record))
    document = {spec.layout.records: [record]}
    assert VALIDATORS[spec.name].is_valid(document) == VALIDATORS[spec.singular].is_valid(record)


@MANY
@given(data=st.data())
def test_stored_people(data: st.DataObject) -> None:
    person = data.draw(described(COLLECTIONS["users"].fields))
    if isinstance(person.get("activities"), list):
        person["activities"] = data.draw(st.lists(described(ACTIVITY_FIELDS) | VALUES, max_size=2))
    agree("users", person, check_user_document(person))


@each_collection
@MANY
@given(data=st.data())
def test_new_records(spec: CollectionSpec, data: st.DataObject) -> None:
    record = data.draw(described(spec.writable) | described(spec.fields) | VALUES)
    how: dict[str, Any] = {"record_id": 1, "owner": 7, "now": NOW, "unknown": "refuse"}
    agree(f"{spec.singular}-new", record, refusal(new_record, spec, record, **how))


@each_collection
@MANY
@given(data=st.data())
def test_changed_and_replaced_records(spec: CollectionSpec, data: st.DataObject) -> None:
    how: dict[str, Any] = {"record_id": 1, "owner": 7, "now": NOW}
    before = new_record(spec, {spec.title_field: "Before"}, **how)
    record = data.draw(described(spec.writable) | described(spec.fields) | VALUES)
    rules: dict[str, Any] = {"now": NOW, "unknown": "refuse"}
    faults = refusal(changed_record, spec, before, record, **rules)
    agree(f"{spec.singular}-changes", record, faults)
    faults = refusal(changed_record, spec, before, record, replace=True, **rules)
    agree(f"{spec.singular}-replacement", record, faults)


BREACHES: dict[str, tuple[str, dict[str, Any]]] = {
    "years": ("tasks", {"title": "Train", "due_date": "9999-12-31T23:59-01:00"}),
    "large integers": ("projects", {"name": "Vision", "budget": INTEGER_MAX + 1}),
    "nesting": ("tasks", {"title": "Train", "metadata": json.loads('{"a":' * 17 + "1" + "}" * 17)}),
    "period": (
        "projects",
        {"name": "Vision", "start_date": "2026-11-24", "end_date": "2026-11-23"},
    ),
    "repeats": ("tasks", {"title": "Train", "repeat": "FREQ=DAILY;BYDAY=MO"}),
    "time zones": ("tasks", {"title": "Train", "time_zone": "Mars/Base"}),
    "references": ("tasks", {"title": "Train", "project_id": 99}),
}


@pytest.mark.parametrize("rule", BREACHES)
def test_a_schema_names_each_rule_that_it_cannot_say(rule: str, data_folder: Path) -> None:
    collection, record = BREACHES[rule]
    spec = COLLECTIONS[collection]
    for kind in ("new", "changes", "replacement"):
        name = f"{spec.singular}-{kind}"
        assert VALIDATORS[name].is_valid(record)
        assert RULES_BEYOND[rule] in SCHEMAS[name]["description"]
    store: JSONStorageManager = json_storage
    assert refusal(store.create, collection, 7, record, unknown="refuse")


def test_no_further_rule_is_named() -> None:
    assert {*BREACHES, "as stored", "whole numbers"} == set(RULES_BEYOND)


def test_a_whole_number_may_be_sent_as_a_float_and_is_stored_as_an_integer(
    data_folder: Path,
) -> None:
    sent = {"name": "resnet", "training_data_size": 1e3}
    stored = json_storage.create("models", 7, sent)
    assert repr(stored["training_data_size"]) == "1000"
    members = json_storage.create("projects", 7, {"name": "Vision", "team_members": [9.0, "bob"]})
    assert repr(members["team_members"]) == "[9, 'bob']"
    members = [{"user_id": 9.0, "role": "guest"}]
    changed = json_storage.update("projects", 7, 1, {"team_members": members})
    assert repr(changed["team_members"][0]["user_id"]) == "9"
    # In a file it is another matter: whoever reads an id there, must find an integer.
    assert check_record(COLLECTIONS["models"], {**stored, "training_data_size": 1e3})
    assert RULES_BEYOND["whole numbers"] in SCHEMAS["model"]["description"]


@each_collection
def test_stored_record_is_valid_as_replacement(spec: CollectionSpec) -> None:
    how: dict[str, Any] = {"record_id": 1, "owner": 7, "now": NOW}
    record = new_record(spec, {spec.title_field: "Before"}, **how)
    assert VALIDATORS[spec.singular].is_valid(record)
    assert VALIDATORS[f"{spec.singular}-replacement"].is_valid(record)
    assert not VALIDATORS[f"{spec.singular}-new"].is_valid(record)


# ---- The schemas as such, and files


@pytest.mark.parametrize("name", SCHEMAS)
def test_each_schema_is_one_and_stands_by_itself(name: str) -> None:
    schema = SCHEMAS[name]
    assert jsonschema_rs.meta.is_valid(schema)
    assert (schema["$schema"], schema["$id"]) == (DIALECT, f"{FOLDER}{name}.json")
    references = {value for value, _ in parts(schema) if str(value).startswith("#/")}
    assert references <= {"#/$defs/value"}


def test_every_collection_has_its_schemas() -> None:
    assert set(COLLECTIONS) <= set(SCHEMAS)


def test_the_files_of_an_old_folder_break_the_schema_where_they_break_the_table() -> None:
    read = 0
    for path in (GOLDEN / "old_folder").glob("*/*_[0-9]*.json"):
        collection, document = path.parent.name, json.loads(path.read_bytes())
        spec = COLLECTIONS[collection]
        if collection == "users":
            faults = {"".join(error.pointer.split("/")) for error in check_user_document(document)}
        else:
            faults = {
                f"{spec.layout.records}{index}{error.pointer.strip('/')}"
                for index, record in enumerate(document[spec.layout.records])
                for error in check_record(spec, record)
                if error.detail.startswith("must be")
            }
        errors = list(VALIDATORS[collection].iter_errors(document))
        where = {"".join(map(str, error.instance_path)) for error in errors}
        assert {place for place in where if not place[-1].isdigit()} == faults, path
        read += 1
    assert read > 6


def test_a_file_may_name_its_schema_and_keeps_the_name(data_folder: Path) -> None:
    path = data_folder / "tasks" / "tasks_7.json"
    path.parent.mkdir(parents=True)
    named = {"$schema": f"http://127.0.0.1:8000{FOLDER}tasks.json", "tasks": []}
    path.write_text(json.dumps(named))
    json_storage.create("tasks", 7, {"title": "Train"})
    json_storage.publish()
    document = json.loads(path.read_bytes())
    assert next(iter(document)) == "$schema" and document["$schema"] == named["$schema"]
    assert VALIDATORS["tasks"].is_valid(document)
