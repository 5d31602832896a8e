"""What a person may prefer, and what becomes of what stands in a file by hand."""

from typing import Any

import pytest
from django.conf import settings
from hypothesis import given
from hypothesis import strategies as st

from accounts.models import User
from utils.json_storage import json_storage
from workspace.schema.collections import PREFERENCE_FIELDS
from workspace.schema.validation import InvalidRecord
from workspace.users.preferences import Preferences, View, changed_preferences, preferences_in

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=4), inner),
)


def faults_of(changes: dict[str, Any]) -> list[str]:
    with pytest.raises(InvalidRecord) as raised:
        changed_preferences({}, changes)
    return [fault.pointer for fault in raised.value.errors]


def test_the_table_and_the_class_say_the_same() -> None:
    defaults = {field.name: field.default for field in PREFERENCE_FIELDS} | {"views": ()}
    assert vars(Preferences()) == defaults
    languages = next(field for field in PREFERENCE_FIELDS if field.name == "language").choices
    assert languages == ("", *dict(settings.LANGUAGES))


def test_preferences_round_trip() -> None:
    week = View("This week", "due=week&sort=due")
    changed = changed_preferences({}, {"theme": "dark", "views": [week]})
    assert changed == {
        "theme": "dark",
        "views": [{"name": "This week", "query": "due=week&sort=due"}],
    }
    assert preferences_in({"preferences": changed}) == Preferences(theme="dark", views=(week,))


def test_keys_of_ones_own_stay() -> None:
    told = {"preferences": {"font": "Comic", "theme": "dark"}}
    assert changed_preferences(told, {"theme": "light"}) == {"font": "Comic", "theme": "light"}


def test_a_change_can_be_made_from_what_is_stored() -> None:
    told = {"preferences": {"views": [{"name": "A", "query": ""}]}}
    added = changed_preferences(told, lambda now: {"views": [*now.views, View("B", "q=b")]})
    assert [view["name"] for view in added["views"]] == ["A", "B"]


@pytest.mark.parametrize(
    ("changes", "pointers"),
    [
        ({"theme": "blue"}, ["/theme"]),
        ({"language": "xx"}, ["/language"]),
        ({"time_zone": "Mars/Olympus"}, ["/time_zone"]),
        ({"time_zone": "../../etc/passwd"}, ["/time_zone"]),
        ({"single_keys": 1}, ["/single_keys"]),
        ({"font": "Comic"}, ["/font"]),
        (
            {"theme": 1, "time_zone": "Mars/Olympus", "views": [{"name": ""}], "font": "Comic"},
            ["/theme", "/time_zone", "/views/0/name", "/views/0/query", "/font"],
        ),
        ({"views": "all"}, ["/views"]),
        ({"views": [{"name": "", "query": ""}]}, ["/views/0/name"]),
        ({"views": [{"name": "a", "query": "x" * 501}]}, ["/views/0/query"]),
        (
            {"views": [{"name": "a"}, {"name": "A", "query": ""}]},
            ["/views/0/query", "/views/1/name"],
        ),
        ({"views": [{"name": f"{n}", "query": ""} for n in range(21)]}, ["/views"]),
    ],
)
def test_preferences_invalid_changes_report_pointers(
    changes: dict[str, Any], pointers: list[str]
) -> None:
    assert faults_of(changes) == pointers


@given(st.dictionaries(st.sampled_from([*vars(Preferences()), "other"]), VALUES) | VALUES)
def test_preferences_in_malformed_file_fall_back(told: Any) -> None:
    assert isinstance(preferences_in({"preferences": told}), Preferences)


@pytest.mark.django_db(transaction=True)
def test_they_are_kept_in_the_persons_own_document(alice: User) -> None:
    assert json_storage.preferences(alice.pk) == Preferences()
    assert json_storage.change_preferences(alice.pk, {"theme": "dark"}).theme == "dark"
    alice.first_name = "Alice"
    alice.save()  # the mirror of the account leaves them alone
    assert json_storage.preferences(alice.pk).theme == "dark"
    document = json_storage.get_user_data(alice.pk)
    assert document is not None
    assert document["preferences"] == {"theme": "dark"}
    revision = document["revision"]
    json_storage.change_preferences(alice.pk, {"theme": "dark"})
    again = json_storage.get_user_data(alice.pk)
    assert again is not None
    assert again["revision"] == revision
