"""The table of collections and the rules that follow from it."""

import difflib
import json
from datetime import UTC, date, datetime, timedelta, timezone
from enum import StrEnum
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workspace.json_values import FAULTS_MAX, INTEGER_MAX, NESTING_MAX
from workspace.schema.fields import Kind
from workspace.schema.validation import (
    COLLECTIONS,
    RECORD_COLLECTIONS,
    InvalidRecord,
    changed_record,
    check_record,
    check_user_document,
    format_utc,
    new_record,
    parse_time,
)
from workspace.texts import normal

NOW = datetime(2026, 11, 23, 12, 4, 5, 123456, tzinfo=UTC)
LATER = NOW + timedelta(hours=1)
TASKS, PROJECTS, MODELS = (COLLECTIONS[name] for name in RECORD_COLLECTIONS)


def task(**data: Any) -> dict[str, Any]:
    return new_record(TASKS, {"title": "Label images", **data}, record_id=3, owner=7, now=NOW)


def project(**data: Any) -> dict[str, Any]:
    return new_record(PROJECTS, {"name": "Vision", **data}, record_id=1, owner=7, now=NOW)


def model(**data: Any) -> dict[str, Any]:
    return new_record(MODELS, {"name": "resnet", **data}, record_id=1, owner=7, now=NOW)


def faults(action: Any, *arguments: Any, **named: Any) -> dict[str, str]:
    with pytest.raises(InvalidRecord) as caught:
        action(*arguments, **named)
    return {error.pointer: error.detail for error in caught.value.errors}


# ---- The table


def test_the_collections_come_in_order_and_say_where_they_are_kept() -> None:
    layouts = [spec.layout for spec in COLLECTIONS.values()]
    assert list(COLLECTIONS) == [at.name for at in layouts]
    assert [(at.name, at.stem, at.records) for at in layouts] == [
        ("users", "user", "activities"),
        ("activities", "activities", "activities"),
        ("tasks", "tasks", "tasks"),
        ("projects", "projects", "projects"),
        ("models", "models", "models"),
        ("shared", "shared", "shared"),
        ("requests", "requests", "requests"),
    ]


def test_every_choice_has_its_default_among_its_choices() -> None:
    for spec in COLLECTIONS.values():
        for field in spec.fields:
            if field.kind in (Kind.CHOICE, Kind.OPEN_CHOICE):
                assert field.default in field.choices


def test_a_user_document_has_these_keys_and_defaults() -> None:
    assert json.dumps(COLLECTIONS["users"].defaults()) == json.dumps(
        {
            "user_id": None,
            "username": "",
            "email": "",
            "first_name": "",
            "last_name": "",
            "user_type": "individual",
            "skill_level": "beginner",
            "subscription_plan": "free",
            "api_calls_limit": 1000,
            "api_calls_used": 0,
            "group_id": None,
            "company_name": "",
            "job_title": "",
            "bio": "",
            "location": "",
            "website": "",
            "linkedin_url": "",
            "github_url": "",
            "is_profile_public": False,
            "receive_notifications": True,
            "last_login": None,
            "profile": {
                "skills": [],
                "interests": [],
                "experience_years": None,
                "education": "",
                "certifications": [],
            },
            "preferences": {},
            "date_joined": None,
            "updated_at": None,
            "activities": [],
        }
    )


# ---- New records


def test_a_new_task_has_these_keys_and_defaults() -> None:
    assert json.dumps(task()) == json.dumps(
        {
            "title": "Label images",
            "description": "",
            "priority": "medium",
            "status": "pending",
            "category": "",
            "due_date": None,
            "repeat": "",
            "time_zone": "",
            "checklist": [],
            "tags": [],
            "project_id": None,
            "assignee": None,
            "position": None,
            "metadata": {},
            "id": 3,
            "created_at": "2026-11-23T12:04:05.123456Z",
            "updated_at": "2026-11-23T12:04:05.123456Z",
            "completed_at": None,
            "user_id": 7,
        }
    )


def test_a_new_project_has_these_keys_and_defaults() -> None:
    assert json.dumps(project()) == json.dumps(
        {
            "name": "Vision",
            "description": "",
            "status": "active",
            "priority": "medium",
            "start_date": None,
            "end_date": None,
            "team_members": [],
            "technologies": [],
            "budget": None,
            "metadata": {},
            "id": 1,
            "created_at": "2026-11-23T12:04:05.123456Z",
            "updated_at": "2026-11-23T12:04:05.123456Z",
            "user_id": 7,
        }
    )


def test_a_new_model_has_these_keys_and_defaults() -> None:
    assert json.dumps(model()) == json.dumps(
        {
            "name": "resnet",
            "description": "",
            "model_type": "classification",
            "status": "draft",
            "accuracy": None,
            "training_data_size": None,
            "parameters": {},
            "hyperparameters": {},
            "performance_metrics": {},
            "is_public": False,
            "project_id": None,
            "metadata": {},
            "id": 1,
            "created_at": "2026-11-23T12:04:05.123456Z",
            "updated_at": "2026-11-23T12:04:05.123456Z",
            "user_id": 7,
        }
    )


def test_defaults_are_never_shared_between_records() -> None:
    task()["tags"].append("seen")
    assert task()["tags"] == []


def test_a_record_shares_nothing_with_the_data_it_was_made_of() -> None:
    metadata = {"runs": [1]}
    record = task(metadata=metadata)
    metadata["runs"].append(2)
    assert record["metadata"] == {"runs": [1]}


def test_a_title_is_stripped() -> None:
    assert task(title="  Label\u00a0images ")["title"] == "Label\u00a0images"


def test_unknown_keys_follow_the_known_ones_in_their_order() -> None:
    record = task(zeta=1, alpha={"x": [None]}, status="review")
    assert list(record)[-3:] == ["user_id", "zeta", "alpha"]


def test_read_only_keys_are_passed_over_when_unknown_ones_are_kept() -> None:
    record = task(id=99, user_id=1, created_at="x", completed_at="y")
    assert (record["id"], record["user_id"], record["completed_at"]) == (3, 7, None)


def test_subclasses_of_json_types_become_plain() -> None:
    class Priority(StrEnum):
        HIGH = "high"

    high = Priority.HIGH
    record = task(priority=high, metadata={high: high}, **{high: high})
    texts = [*record, *record["metadata"], *record["metadata"].values(), record["high"]]
    assert {type(text) for text in [*texts, record["priority"]]} == {str}


def test_new_record_not_an_object_is_refused() -> None:
    unfit: list[object] = [None, [], "x", 1, True]
    for data in unfit:
        found = faults(new_record, TASKS, data, record_id=1, owner=7, now=NOW)
        assert found == {"": "must be an object with the fields of a task"}


def test_all_faults_are_told_at_once() -> None:
    found = faults(task, title=" ", priority="urgent", tags="x", project_id=0, due_date="soon")
    assert found == {
        "/title": "must be a text of 1 to 200 characters",
        "/priority": "must be one of low, medium, high, critical",
        "/tags": "must be a list of at most 50 texts",
        "/project_id": "must be the id of one of the projects, or null",
        "/due_date": "must be a date (2026-11-23) or a date-time (2026-11-23T12:00:00Z), or null",
    }


def test_a_missing_title_is_told() -> None:
    found = faults(new_record, MODELS, {}, record_id=1, owner=7, now=NOW)
    assert found == {"/name": "is required; it must be a text of 1 to 200 characters"}


def test_a_hostile_record_is_answered_with_its_first_faults_only() -> None:
    found = faults(task, tags=[""] * 50, metadata=dict.fromkeys(map(str, range(500)), object()))
    assert len(found) == FAULTS_MAX


@pytest.mark.parametrize(
    ("make", "field", "value"),
    [
        (task, "title", "x" * 200),
        (task, "description", "two\n\tlines"),
        (task, "tags", ["x" * 50] * 50),
        (task, "project_id", 4),
        (task, "metadata", {"": None}),
        (project, "team_members", ["Bob", 4, {"name": "Eve", "since": "2026\n"}]),
        (project, "budget", 0),
        (project, "budget", 10.5),
        (model, "accuracy", 100),
        (model, "accuracy", 0.0),
        (model, "training_data_size", INTEGER_MAX),
        (model, "model_type", "diffusion"),
        (model, "is_public", True),
    ],
)
def test_a_fitting_value_is_kept_as_it_is(make: Any, field: str, value: Any) -> None:
    assert make(**{field: value})[field] == value


@pytest.mark.parametrize(
    ("make", "field", "value", "pointer", "detail"),
    [
        (task, "title", "x" * 201, "/title", "1 to 200"),
        (task, "title", None, "/title", "1 to 200"),
        (task, "title", "a\nb", "/title", "one line"),
        (task, "title", "a\ud800", "/title", "whole characters"),
        (task, "description", None, "/description", "a text of at most"),
        (task, "description", "a\0", "/description", "U+0000"),
        (task, "description", "x" * 50_001, "/description", "at most 50000 characters"),
        (task, "category", "a\tb", "/category", "one line"),
        (task, "status", True, "/status", "must be one of pending, in_progress, review, completed"),
        (task, "tags", ["ok", " "], "/tags/1", "a text of 1 to 50 characters"),
        (task, "tags", ["x" * 51], "/tags/0", "a text of 1 to 50 characters"),
        (task, "tags", ["x\ny"], "/tags/0", "one line"),
        (task, "tags", ["x"] * 51, "/tags", "at most 50 texts"),
        (task, "tags", ("x",), "/tags", "a list"),
        (task, "project_id", True, "/project_id", "the id of one of the projects"),
        (task, "project_id", INTEGER_MAX + 1, "/project_id", "the id of"),
        (task, "metadata", [], "/metadata", "must be an object"),
        (task, "metadata", None, "/metadata", "must be an object"),
        (task, "metadata", {"a/b": {"~": [0, float("nan")]}}, "/metadata/a~1b/~0/1", "finite"),
        (task, "metadata", {"n": 2**53}, "/metadata/n", "must lie between"),
        (task, "metadata", {"at": NOW}, "/metadata/at", "it is a Python datetime"),
        (task, "metadata", {"in": {1: 2}}, "/metadata/in", "must have texts as keys"),
        (task, "metadata", {"in": {"\ud800": 2}}, "/metadata/in", r"has the key '\ud800'"),
        (task, "metadata", {"x" * 201: 2}, "/metadata", "at most 200 characters"),
        (task, "extra", {"a": {1, 2}}, "/extra/a", "it is a Python set"),
        (project, "team_members", ["Bob", 1.5], "/team_members/1", "a name, an id"),
        (project, "team_members", [{"x": "\0"}], "/team_members/0/x", "U+0000"),
        (project, "budget", -1, "/budget", "a number of at least 0, or null"),
        (project, "budget", True, "/budget", "a number of at least 0, or null"),
        (project, "budget", "10", "/budget", "a number of at least 0, or null"),
        (project, "budget", float("inf"), "/budget", "finite"),
        (model, "accuracy", 100.1, "/accuracy", "a number from 0 to 100, or null"),
        (model, "accuracy", float("nan"), "/accuracy", "a number from 0 to 100, or null"),
        (model, "training_data_size", 1.5, "/training_data_size", "a whole number of at least 0"),
        (model, "training_data_size", 2**53, "/training_data_size", "must lie between"),
        (model, "model_type", " ", "/model_type", "a text of 1 to 50 characters"),
        (model, "model_type", "x" * 51, "/model_type", "a text of 1 to 50 characters"),
        (model, "is_public", 1, "/is_public", "must be true or false"),
    ],
)
def test_an_unfit_value_is_refused_at_its_place(
    make: Any, field: str, value: Any, pointer: str, detail: str
) -> None:
    found = faults(make, **{field: value})
    assert list(found) == [pointer]
    assert detail in found[pointer]


def test_nesting_in_a_field_is_taken_to_the_limit_and_refused_beyond() -> None:
    value: Any = {}
    for _ in range(NESTING_MAX - 1):
        value = {"a": value}
    assert task(metadata=value)["metadata"] == value
    found = faults(task, metadata={"a": value})
    assert list(found) == ["/metadata" + "/a" * NESTING_MAX]
    found = faults(project, team_members=[value])
    assert list(found) == ["/team_members/0" + "/a" * (NESTING_MAX - 1)]


def test_a_structure_that_holds_itself_is_refused() -> None:
    metadata: dict[str, Any] = {}
    metadata["self"] = metadata
    assert "at most 16 levels" in faults(task, metadata=metadata)["/metadata" + "/self" * 16]


# ---- Refusing unknown keys


def test_unknown_and_read_only_keys_can_be_refused() -> None:
    data: dict[str, Any] = {
        "title": "x",
        "__proto__": {},
        "no/such": 1,
        "id": 3,
        "completed_at": None,
    }
    found = faults(new_record, TASKS, data, record_id=3, owner=7, now=NOW, unknown="refuse")
    assert list(found) == ["/__proto__", "/no~1such", "/id", "/completed_at"]
    assert found["/no~1such"] == (
        "is not a field of a task; its fields are title, description, priority, status, category,"
        " due_date, repeat, time_zone, checklist, tags, project_id, assignee, position, metadata"
    )
    assert found["/id"] == "is set by NeuralFlow; leave it out"


def test_replace_keeps_unknown_fields_sent_back() -> None:
    before = task(legacy=[1, {"a": True}]) | {"odd\nkey": 1, "category": None}
    sent = json.loads(json.dumps(before)) | {"title": "New"}
    after = changed_record(TASKS, before, sent, now=LATER, replace=True, unknown="refuse")
    assert after == before | {"title": "New", "updated_at": format_utc(LATER)}


def test_a_changed_unknown_or_read_only_key_is_refused() -> None:
    before = task(legacy=1)
    changes = {"legacy": True, "id": 4, "user_id": 7.0}
    found = faults(changed_record, TASKS, before, changes, now=LATER, unknown="refuse")
    assert list(found) == ["/legacy", "/id"]


# ---- Changes


def test_a_change_leaves_the_rest_alone_and_stamps_the_record() -> None:
    before = task(tags=["a"], legacy=1)
    kept = json.dumps(before)
    after = changed_record(TASKS, before, {"priority": "high", "more": 2}, now=LATER)
    assert after == before | {"priority": "high", "more": 2, "updated_at": format_utc(LATER)}
    assert json.dumps(before) == kept


def test_a_replacement_returns_absent_fields_to_their_defaults_and_keeps_unknown_keys() -> None:
    before = task(tags=["a"], category="c", legacy=1)
    after = changed_record(TASKS, before, {"title": "Other"}, now=LATER, replace=True)
    assert (after["tags"], after["category"], after["legacy"], after["id"]) == ([], "", 1, 3)
    assert list(faults(changed_record, TASKS, before, {}, now=LATER, replace=True)) == ["/title"]


def test_completion_follows_the_status() -> None:
    begun = task()
    done = changed_record(TASKS, begun, {"status": "completed"}, now=LATER)
    assert done["completed_at"] == format_utc(LATER)
    renamed = changed_record(TASKS, done, {"title": "x"}, now=LATER + timedelta(days=1))
    assert renamed["completed_at"] == format_utc(LATER)
    assert changed_record(TASKS, done, {"status": "review"}, now=LATER)["completed_at"] is None
    assert task(status="completed")["completed_at"] == format_utc(NOW)
    assert "completed_at" not in project(status="completed")


def test_an_old_record_is_upgraded_when_it_is_changed() -> None:
    old = {
        "id": 4,
        "odd": "2024-01-01T10:00:00",
        "title": "Old",
        "status": "completed",
        "category": None,
        "due_date": "2024-02-01",
        "created_at": "2024-01-01T10:00:00.5",
        "updated_at": "yesterday",
        "completed_at": "2024-01-02 10:00:00+02:00",
    }
    after = changed_record(TASKS, old, {"title": "New", "category": None}, now=LATER)
    expected = {
        **task(),
        **old,
        "title": "New",
        "created_at": "2024-01-01T10:00:00.500000Z",
        "updated_at": format_utc(LATER),
        "completed_at": "2024-01-02T08:00:00.000000Z",
    }
    del expected["user_id"]  # nobody has told it
    assert after == expected
    assert list(after)[:3] == ["title", "description", "priority"]
    assert list(after)[-1] == "odd"


def test_a_project_does_not_end_before_it_starts() -> None:
    told = {"/end_date": "must not be before start_date"}
    assert faults(project, start_date="2026-05-02", end_date="2026-05-01") == told
    project(start_date="2026-05-02T10:00:00Z", end_date="2026-05-02")
    before = project(start_date="2026-05-02")
    assert faults(changed_record, PROJECTS, before, {"end_date": "2026-05-01"}, now=NOW) == told
    wrong_already = before | {"end_date": "2020-01-01"}
    changed_record(PROJECTS, wrong_already, {"name": "x"}, now=NOW)
    changed_record(PROJECTS, before | {"start_date": "soon"}, {"end_date": "2026-05-01"}, now=NOW)


# ---- Times


@pytest.mark.parametrize(
    ("given_time", "stored"),
    [
        ("2026-11-23", "2026-11-23"),
        (date(2026, 11, 23), "2026-11-23"),
        ("2026-11-23T10:00", "2026-11-23T10:00:00.000000Z"),
        ("2026-11-23 10:00:00", "2026-11-23T10:00:00.000000Z"),
        ("2026-11-23t10:00:00.25z", "2026-11-23T10:00:00.250000Z"),
        ("2026-11-23T10:00:00+05:30", "2026-11-23T04:30:00.000000Z"),
        (datetime(2026, 11, 23, 10), "2026-11-23T10:00:00.000000Z"),
        (datetime(2026, 1, 1, tzinfo=timezone(timedelta(hours=1))), "2025-12-31T23:00:00.000000Z"),
        (None, None),
    ],
)
def test_a_time_is_stored_in_one_form(given_time: Any, stored: str | None) -> None:
    assert task(due_date=given_time)["due_date"] == stored


@pytest.mark.parametrize(
    "unfit",
    [
        "",
        "soon",
        "2026-02-30",
        "20261123",
        "2026-W01-1",
        "2026-11-23T25:00",
        "2026-11-23T10",
        "2026-11-23\n",
        "\u0662\u0660\u0662\u0666-11-23",
        "0001-01-01T00:00+10:00",
        1700000000,
        True,
        ["2026-11-23"],
    ],
)
def test_invalid_due_date_is_refused(unfit: Any) -> None:
    assert list(faults(task, due_date=unfit)) == ["/due_date"]


@given(st.datetimes() | st.datetimes(timezones=st.just(UTC)))
def test_a_written_time_reads_as_the_same_moment(moment: datetime) -> None:
    assert parse_time(format_utc(moment)) == moment.replace(tzinfo=UTC)


# ---- Stored records


def test_old_records_are_sound() -> None:
    old = {"id": 1, "title": "x" * 300, "description": None, "due_date": "2024-01-01T10:00:00.5"}
    assert check_record(TASKS, old) == []
    assert check_record(PROJECTS, {"id": 1, "name": "n", "group_id": None, "budget": 1.5}) == []


def test_findings_name_what_is_wrong_in_a_stored_record() -> None:
    record = {"id": True, "title": " ", "status": "done", "due_date": "soon", "tags": "a"}
    found = {error.pointer: error.detail for error in check_record(TASKS, record)}
    assert list(found) == ["/title", "/status", "/due_date", "/tags", "/id"]
    assert found["/id"] == "must be a positive whole number"
    assert [error.pointer for error in check_record(TASKS, {})] == ["/title", "/id"]
    assert [error.pointer for error in check_record(TASKS, [])] == [""]


def test_findings_name_what_is_wrong_in_a_user_document() -> None:
    activity = {"type": "login", "description": None, "timestamp": "2024-01-01T10:00:00"}
    document = COLLECTIONS["users"].defaults() | {"user_id": 7, "activities": [activity]}
    assert check_user_document(document) == []
    assert check_user_document({"user_id": 7, "username": "alice", "group_id": None}) == []
    document |= {"user_type": "robot", "activities": [activity, 1, {"type": "", "timestamp": "x"}]}
    assert [error.pointer for error in check_user_document(document)] == [
        "/user_type",
        "/activities/1",
        "/activities/2/type",
        "/activities/2/timestamp",
    ]
    assert [error.pointer for error in check_user_document({"user_id": 7, "activities": {}})] == [
        "/activities"
    ]


# ---- Properties

WORDS = st.text(st.characters(min_codepoint=0x21, exclude_categories=["Cs", "Cc"]), min_size=1).map(
    normal
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-INTEGER_MAX, INTEGER_MAX) | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3),
    max_leaves=10,
)
OBJECTS = st.dictionaries(WORDS.map(lambda word: word[:20]), JSON, max_size=3)


@st.composite
def task_data(draw: st.DrawFn) -> dict[str, Any]:
    known = st.fixed_dictionaries(
        {"title": WORDS.filter(lambda word: word.strip() == word).map(lambda word: word[:200])},
        optional={
            "description": WORDS,
            "priority": st.sampled_from(TASKS.by_name["priority"].choices),
            "status": st.sampled_from(TASKS.by_name["status"].choices),
            "due_date": st.none() | st.dates() | st.datetimes(),
            "tags": st.lists(st.text("abc ü", min_size=1, max_size=50).filter(str.strip)),
            "project_id": st.none() | st.integers(1, INTEGER_MAX),
            "metadata": OBJECTS,
        },
    )
    unknown = {f"x-{key}": value for key, value in draw(OBJECTS).items()}
    return unknown | draw(known)


@given(task_data(), task_data())
def test_records_round_trip(data: dict[str, Any], changes: dict[str, Any]) -> None:
    record = new_record(TASKS, data, record_id=1, owner=7, now=NOW)
    assert check_record(TASKS, record) == []
    assert json.loads(json.dumps(record)) == record
    same = changed_record(TASKS, record, dict(record), now=NOW, replace=True, unknown="refuse")
    assert json.dumps(same) == json.dumps(record)

    changed = changed_record(TASKS, record, changes, now=LATER)
    fresh = new_record(TASKS, changes, record_id=1, owner=7, now=LATER)
    assert {key: changed[key] for key in changes} == {key: fresh[key] for key in changes}
    untouched = record.keys() - changes.keys() - {"updated_at", "completed_at"}
    assert all(changed[key] == record[key] for key in untouched)

    replaced = changed_record(TASKS, record, changes, now=LATER, replace=True)
    for field in TASKS.writable:
        assert replaced[field.name] == fresh[field.name]
    assert record.keys() <= replaced.keys()


@given(st.dictionaries(st.sampled_from([*TASKS.by_name, "other", "\ud800"]) | st.text(), JSON))
def test_any_json_object_is_a_record_or_invalid_with_pointers(data: dict[str, Any]) -> None:
    try:
        new_record(TASKS, data, record_id=1, owner=7, now=NOW, unknown="refuse")
    except InvalidRecord as invalid:
        for error in invalid.errors:
            assert error.pointer == "" or error.pointer.startswith("/")
            (error.pointer + error.detail).encode()


def test_thousands_of_unknown_fields_cost_no_more_than_those_that_are_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """For each of 60,000 a name like it was looked for, while others waited for seconds."""
    looked_for: list[str] = []
    matches = difflib.get_close_matches

    def counted(word: str, *args: Any, **options: Any) -> list[str]:
        looked_for.append(word)
        return matches(word, *args, **options)

    monkeypatch.setattr(difflib, "get_close_matches", counted)
    with pytest.raises(InvalidRecord) as caught:
        new_record(
            COLLECTIONS["tasks"],
            {f"unknown{number}": number for number in range(1_000)},
            record_id=1,
            owner=7,
            now=datetime(2026, 11, 30, tzinfo=UTC),
            unknown="refuse",
        )
    assert len(caught.value.errors) == len(looked_for) == 100
