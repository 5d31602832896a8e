"""Bugs are planted in undoing and in repetition: for each the test that should see it does."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from accounts.models import User
from docstore import StoreError
from tests.harness.planted import Plant
from tests.utils import test_occurrences as repeats
from tests.utils import test_undo as undoing
from utils import undo
from utils.json_storage import JSONStorageManager
from utils.tasks import occurrences
from utils.undo import Undoing

# A test fails by what it claims, what it meets, and a list that has not as many as it takes apart.
SEEN = (AssertionError, StoreError, pytest.fail.Exception, ValueError)
task, world = repeats.task, undoing.world  # the fixtures of those tests


@dataclass(frozen=True)
class Bug(Plant):
    """With it planted, `seen_by` must fail."""

    seen_by: Callable[..., None]


IN_UNDOING = (
    Bug(
        "anybody may undo",
        *(JSONStorageManager, "undo", "not _is_own(entry, person)", "False"),
        undoing.test_only_who_did_it_may_undo_it,
    ),
    Bug(
        "any request of the person's will do",
        *(JSONStorageManager, "undo", 'request not in ("", entry.request_id)', "False"),
        undoing.test_only_who_did_it_may_undo_it,
    ),
    Bug(
        "whoever could once change it may undo for ever",
        *(JSONStorageManager, "undo", "caller=caller or Caller(person)", "caller=None"),
        undoing.test_who_may_no_longer_change_it_may_not_undo,
    ),
    Bug(
        "what was changed since is overwritten",
        *(Undoing, "set_back", "if touched:", "if False:"),
        undoing.test_what_was_changed_since_is_named_and_nothing_is_set_back,
    ),
    Bug(
        "only what is gone counts as changed",
        *(Undoing, "set_back", "not same_value(now[key, number], after)"),
        "now[key, number] is None",
        undoing.test_what_was_changed_since_is_named_and_nothing_is_set_back,
    ),
    Bug(
        "it can be undone twice",
        *(Undoing, "set_back", "not same_value(now[key, number], after)"),
        "now[key, number] is None",
        undoing.test_a_change_is_undone_once,
    ),
    Bug(
        "what refers to a record that goes again is left",
        *(Undoing, "set_back", "clear_references(transaction, key, {number})", "pass"),
        undoing.test_a_project_that_goes_again_leaves_its_tasks,
    ),
    Bug(
        "a record comes back with what is gone",
        *(Undoing, "set_back", "_let_go_of_what_is_gone(transaction, key, number)", "pass"),
        undoing.test_a_task_that_comes_back_after_its_project_went_is_in_none,
    ),
    Bug(
        "a project comes back with members who are gone",
        *(undo, "_is_there", "transaction.document(", "not transaction.document("),
        undoing.test_a_project_comes_back_without_members_who_are_gone,
    ),
)
IN_REPETITION = (
    Bug(
        "the rule stays with the old task",
        *(occurrences, "_without_rule", ' | {"repeat": "", "time_zone": ""}', ""),
        repeats.test_completing_it_again_adds_nothing,
    ),
    Bug(
        "a rule on a completed task adds one",
        *(occurrences, "_next_of", ' or before.get("status") == _DONE', ""),
        repeats.test_a_rule_on_what_is_completed_already_adds_nothing,
    ),
    Bug(
        "the next one takes the place of the old one",
        *(occurrences, "_again", '"id": transaction.new_id(key)', '"id": done["id"]'),
        repeats.test_completing_it_again_adds_nothing,
    ),
    Bug(
        "what was ticked stays ticked",
        *(occurrences, "_unticked", '{**item, "done": False}', "item"),
        repeats.test_completing_it_again_adds_nothing,
    ),
    Bug(
        "the next one is completed, too",
        *(occurrences, "_again", '("status", "position")', '("position",)'),
        repeats.test_completing_it_again_adds_nothing,
    ),
    Bug(
        "an hour moves with the summer",
        *(occurrences, "_next_of", "zone_of_task(record, timezone.get_current_timezone())"),
        "timezone.get_current_timezone()",
        repeats.test_nine_o_clock_stays_nine_o_clock_where_the_owner_lives,
    ),
    Bug(
        "the next one counts in another zone",
        *(occurrences, "_of_page", 'name if is_time_zone(name) else "UTC"', '"UTC"'),
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
