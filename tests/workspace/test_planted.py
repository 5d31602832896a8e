"""Bugs are planted in undoing and in repetition: for each the test that should see it does."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from accounts.models import User
from docstore import StoreError
from tests.harness.planted import NOTHING_DONE, Plant, returning
from tests.workspace import test_next_occurrence as repeats
from tests.workspace import test_undo as undoing
from utils.json_storage import JSONStorageManager
from workspace import workspace
from workspace.actor import Actor
from workspace.records import undo
from workspace.records.undo import Undoing
from workspace.tasks import next_occurrence

# A test fails by what it claims, what it meets, and a list that has not as many as it takes apart.
SEEN = (AssertionError, StoreError, pytest.fail.Exception, ValueError)
task, world = repeats.task, undoing.world  # the fixtures of those tests


@dataclass(frozen=True)
class Bug(Plant):
    """With it planted, `seen_by` must fail."""

    seen_by: Callable[..., None]


def _takes_any_request(right: Any) -> Any:
    def undo_any(manager: Any, person: int, commit: int, request: str = "", **options: Any) -> Any:
        return right(manager, person, commit, **options)

    return undo_any


def _acts_as_owner(right: Any) -> Any:
    def undo_as_owner(manager: Any, person: int, commit: int, *rest: Any, **options: Any) -> Any:
        owner = Undoing(manager.store.entry(commit), person).owner
        return right(manager, person, commit, *rest, **options | {"caller": Actor(owner)})

    return undo_as_owner


def _counts_only_gone(right: Any) -> Any:
    return lambda now, after: now is not None


def _with(*names: str) -> Any:
    """Make the function return its record with these values of the completed task."""
    return lambda right: (
        lambda transaction, key, done, follows: (
            right(transaction, key, done, follows) | {name: done[name] for name in names}
        )
    )


IN_UNDOING = (
    Bug(
        "anybody may undo",
        *(workspace, "_is_own", returning(True)),
        undoing.test_only_who_did_it_may_undo_it,
    ),
    Bug(
        "any request of the person's will do",
        *(JSONStorageManager, "undo", _takes_any_request),
        undoing.test_only_who_did_it_may_undo_it,
    ),
    Bug(
        "whoever could once change it may undo for ever",
        *(JSONStorageManager, "undo", _acts_as_owner),
        undoing.test_undo_without_permission_is_refused,
    ),
    Bug(
        "what was changed since is overwritten",
        *(Undoing, "_touched", returning([])),
        undoing.test_undo_of_records_changed_since_is_refused,
    ),
    Bug(
        "only what is gone counts as changed",
        *(undo, "same_value", _counts_only_gone),
        undoing.test_undo_of_records_changed_since_is_refused,
    ),
    Bug(
        "it can be undone twice",
        *(undo, "same_value", _counts_only_gone),
        undoing.test_a_change_is_undone_once,
    ),
    Bug(
        "what refers to a record that goes again is left",
        *(undo, "clear_references", NOTHING_DONE),
        undoing.test_a_project_that_goes_again_leaves_its_tasks,
    ),
    Bug(
        "a record comes back with what is gone",
        *(undo, "_let_go_of_what_is_gone", NOTHING_DONE),
        undoing.test_a_task_that_comes_back_after_its_project_went_is_in_none,
    ),
    Bug(
        "a project comes back with members who are gone",
        *(undo, "_is_there", returning(True)),
        undoing.test_a_project_comes_back_without_members_who_are_gone,
    ),
)
IN_REPETITION = (
    Bug(
        "the rule stays with the old task",
        *(next_occurrence, "_without_rule", lambda right: lambda done: done),
        repeats.test_completing_it_again_adds_nothing,
    ),
    Bug(
        "a rule on a completed task adds one",
        *(next_occurrence, "_next_of"),
        lambda right: lambda transaction, key, before, record: right(transaction, key, {}, record),
        repeats.test_a_rule_on_what_is_completed_already_adds_nothing,
    ),
    Bug(
        "the next one takes the place of the old one",
        *(next_occurrence, "_again", _with("id")),
        repeats.test_completing_it_again_adds_nothing,
    ),
    Bug(
        "what was ticked stays ticked",
        *(next_occurrence, "_unticked", lambda right: lambda item: item),
        repeats.test_completing_it_again_adds_nothing,
    ),
    Bug(
        "the next one is completed, too",
        *(next_occurrence, "_again", _with("status")),
        repeats.test_completing_it_again_adds_nothing,
    ),
    Bug(
        "an hour moves with the summer",
        *(next_occurrence, "zone_of_task", lambda right: lambda task, other: other),
        repeats.test_nine_o_clock_stays_nine_o_clock_where_the_owner_lives,
    ),
    Bug(
        "the next one counts in another zone",
        *(next_occurrence, "_of_page", returning("UTC")),
        repeats.test_the_zone_comes_and_goes_with_the_rule,
    ),
)


def _names(bug: Bug) -> str:
    return re.sub(r"\W+", "-", bug.name)


@pytest.mark.parametrize("bug", IN_UNDOING, ids=_names)
def test_bugs_in_undoing_are_seen(bug: Bug, world: None) -> None:
    with bug.planted(), pytest.raises(SEEN):
        bug.seen_by()


@pytest.mark.parametrize("bug", IN_REPETITION, ids=_names)
def test_bugs_in_repetition_are_seen(bug: Bug, alice: User, request: pytest.FixtureRequest) -> None:
    arguments = bug.seen_by.__annotations__.keys() - {"return"}
    given = {name: request.getfixturevalue(name) for name in arguments}
    with bug.planted(), pytest.raises(SEEN):
        bug.seen_by(**given)
