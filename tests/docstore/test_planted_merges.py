"""Bugs are planted in the merge of hand edits: for each the test that should see it does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from docstore import DocumentStore, StoreError, file_edits, merging
from docstore.backends.files import FilesBackend
from docstore.following import Follower
from docstore.publishing import Publisher
from tests.docstore import test_merging as merges
from tests.harness.planted import Plant

SEEN = (AssertionError, StoreError, pytest.fail.Exception, ValueError, KeyError)
root, path, store = merges.root, merges.path, merges.store  # the fixtures of those tests


@dataclass(frozen=True)
class Bug(Plant):
    """With it planted, `seen_by` must fail."""

    seen_by: Callable[..., None]


COMPARISON: Any = file_edits._Comparison

BUGS = (
    Bug(
        "a stale value counts as a change",
        *(COMPARISON, "_is_changed", "if is_same(value, earlier):", "if False:"),
        merges.test_stale_buffer_keeps_what_others_changed_meanwhile,
    ),
    Bug(
        "the last save of the same buffer is forgotten",
        *(
            file_edits,
            "find_base",
            "same = [one for one in merged if",
            "same = [one for one in () if",
        ),
        merges.test_old_buffer_saved_again_changes_nothing_twice,
    ),
    Bug(
        "the revision is believed whatever the text says",
        *(file_edits, "find_base", "if named and at and stamp != at:", "if False:"),
        merges.test_edit_without_a_base_is_set_aside,
    ),
    Bug(
        "a record is removed though it was changed since",
        *(COMPARISON, "_remove", "if is_same(current, base)", "if True or is_same(current, base)"),
        merges.test_removed_record_goes_unless_it_was_changed_since,
    ),
    Bug(
        "an id is given a second time",
        *(COMPARISON, "_add", "self.last_id < record_id <=", "record_id <="),
        merges.test_id_of_a_deleted_record_is_never_given_again,
    ),
    Bug(
        "what is refused is not set aside",
        *(merging, "note_aside", "if result.remarks:", "if False:"),
        merges.test_change_of_a_record_deleted_since_is_reported,
    ),
    Bug(
        "the checkpoint writes no images",
        *(Publisher, "_write_images", "if not self._follower.merges:", "if True:"),
        merges.test_edit_while_nobody_runs_merges_and_tells_what_was_before,
    ),
    Bug(
        "an image counts though the file was published since",
        *(Follower, "_state_before_edit", "if note is not None:", "if False:"),
        merges.test_edit_met_first_by_a_process_that_never_read_the_document,
    ),
    Bug(
        "a save under a change on its way is replaced",
        *(Publisher, "_is_edit", "self._edited.add(live.key)", "return False"),
        merges.test_save_under_a_change_on_its_way_merges,
    ),
    Bug(
        "a broken file is written over",
        *(Publisher, "_is_edit", ".get(live.key, (None,))[0] == token:", ".get(live.key):"),
        merges.test_broken_file_under_a_change_on_its_way_waits_for_the_person,
    ),
    Bug(
        "a file that is gone for a moment is a deletion",
        *(FilesBackend, "_wait_for_editor", "+ ABSENCE_SECONDS", ""),
        merges.test_file_that_is_gone_for_a_moment_is_not_a_deletion,
    ),
)


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name.replace(" ", "-"))
def test_bug_in_the_merge_is_seen(bug: Bug, store: DocumentStore, path: Path, root: Path) -> None:
    given = {"store": store, "path": path, "root": root, "named": 3}
    wanted = bug.seen_by.__code__.co_varnames[: bug.seen_by.__code__.co_argcount]
    with bug.planted(), pytest.raises(SEEN):
        bug.seen_by(**{name: given[name] for name in wanted})
