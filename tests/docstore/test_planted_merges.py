"""Bugs are planted in the merge of hand edits: for each the test that should see it does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from docstore import DocumentStore, StoreError, editor_buffers, file_edits, merging
from docstore.backends.files import hand_edits
from docstore.backends.files.document_cache import FileDocumentCache, file_id_of
from docstore.backends.files.publisher import Publisher
from tests.docstore import test_merging as merges
from tests.harness.planted import NOTHING_DONE, Plant, returning

SEEN = (AssertionError, StoreError, pytest.fail.Exception, ValueError, KeyError)
root, path, store = merges.root, merges.path, merges.store  # the fixtures of those tests


@dataclass(frozen=True)
class Bug(Plant):
    """With it planted, `seen_by` must fail."""

    seen_by: Callable[..., None]


COMPARISON: Any = file_edits._Comparison
ANOTHER = {"another": "value"}


def _forgets_last_save(right: Any) -> Any:
    def find_base(*arguments: Any) -> Any:
        base, doubt, _ = right(*arguments)
        return base, doubt, []

    return find_base


def _takes_the_last_save(right: Any) -> Any:
    def earlier_saves(base: Any, theirs: Any, saves: Any, records_name: str, digest: str) -> Any:
        result = right(base, theirs, saves, records_name, digest)
        if result.is_repeated or not saves:
            return result
        state = base.copy()
        for edit in saves[0].edits:
            state.apply(edit, records_name)
        return result._replace(previous=state, given=saves[0].given)

    return earlier_saves


def _retains_first_text(right: Any) -> Any:
    def compare_items(comparison: Any, *arguments: Any, **named: Any) -> None:
        right(comparison, *arguments, **named)
        first = {entry.id: entry for entry in comparison.edit.earlier.given}
        given = comparison.found.given
        given[:] = [first.get(entry.id, entry) for entry in given]

    return compare_items


def _forgets_earlier_saves(right: Any) -> Any:
    return lambda edit, name: right(edit._replace(earlier=file_edits.EarlierSaves()), name)


def _believes_revision(right: Any) -> Any:
    def find_base(ours: Any, theirs: Any, changes: Any, *rest: Any) -> Any:
        changes = list(changes)
        times = [change.at for change in changes if change.revision == theirs.revision]
        content = {**theirs.content, "updated_at": [*times, ours.content["updated_at"]][0]}
        return right(ours, theirs._replace(content=content), changes, *rest)

    return find_base


def _removes_always(right: Any) -> Any:
    return lambda comparison, record_id, *_: comparison.found.removed.append(record_id)


def _gives_id_again(right: Any) -> Any:
    def add(comparison: Any, record: Any, record_id: int) -> None:
        if record_id in comparison.ours.records:
            right(comparison, record, record_id)
        else:
            comparison.found.added.append(file_edits.Addition(record, record_id))

    return add


def _writes_no_images(right: Any) -> Any:
    def write_images(publisher: Any) -> None:
        publisher._cache.images.remove(dict(publisher._cache.published))

    return write_images


class _Blind(dict[Any, Any]):
    """A table in which nothing is found."""

    def get(self, key: Any, default: Any = None) -> Any:
        return default


def _sees_no_notes(right: Any) -> Any:
    def state_before_edit(cache: Any, live: Any) -> Any:
        with mock.patch.object(cache, "published", _Blind(cache.published)):
            return right(cache, live)

    return state_before_edit


def _forgets_edit(right: Any) -> Any:
    def is_edit(publisher: Any, live: Any, *rest: Any) -> bool:
        was_noted = live.key in publisher._edited
        result: bool = right(publisher, live, *rest)
        if was_noted or live.key not in publisher._edited:
            return result
        publisher._edited.discard(live.key)
        return False

    return is_edit


def _takes_any_fault(right: Any) -> Any:
    def is_edit(publisher: Any, live: Any, there: Any, content: Any) -> bool:
        token = file_id_of(there)
        is_ours = token in live.tokens or token in live.merged
        has_fault = live.key in publisher._cache.faults
        result: bool = (has_fault and not is_ours) or right(publisher, live, there, content)
        return result

    return is_edit


BUGS = (
    Bug(
        "a stale value counts as a change",
        *(COMPARISON, "_is_changed"),
        lambda right: (
            lambda comparison, value, before, earlier, what: right(
                comparison, value, before, ANOTHER, what
            )
        ),
        merges.test_stale_buffer_keeps_what_others_changed_meanwhile,
    ),
    Bug(
        "the last save of the same buffer is forgotten",
        *(editor_buffers, "find_base", _forgets_last_save),
        merges.test_old_buffer_saved_again_changes_nothing_twice,
    ),
    Bug(
        "the last save on a revision is taken for the same buffer's",
        *(editor_buffers, "earlier_saves", _takes_the_last_save),
        merges.test_two_editors_of_one_revision_merge_both,
    ),
    Bug(
        "a new record is compared with what it was at first",
        *(COMPARISON, "_compare_items", _retains_first_text),
        merges.test_new_record_that_was_edited_twice_keeps_what_others_made_of_it,
    ),
    Bug(
        "any new record is a later state of the one that was added before",
        *(file_edits, "is_fresh", returning(True)),
        merges.test_two_editors_of_one_revision_merge_both,
    ),
    Bug(
        "a file that is the base again is a copy of it",
        *(file_edits, "changes_nothing", _forgets_earlier_saves),
        merges.test_all_changes_taken_back_in_an_old_buffer_are_reported,
    ),
    Bug(
        "the revision is believed whatever the text says",
        *(editor_buffers, "find_base", _believes_revision),
        merges.test_edit_without_a_base_is_set_aside,
    ),
    Bug(
        "a record is removed though it was changed since",
        *(COMPARISON, "_remove", _removes_always),
        merges.test_removed_record_goes_unless_it_was_changed_since,
    ),
    Bug(
        "an id is given a second time",
        *(COMPARISON, "_add", _gives_id_again),
        merges.test_id_of_a_deleted_record_is_never_given_again,
    ),
    Bug(
        "what is refused is not set aside",
        *(merging, "note_aside", NOTHING_DONE),
        merges.test_change_of_a_record_deleted_since_is_reported,
    ),
    Bug(
        "the checkpoint writes no images",
        *(Publisher, "_write_images", _writes_no_images),
        merges.test_edit_while_nobody_runs_merges_and_tells_what_was_before,
    ),
    Bug(
        "an image counts though the file was published since",
        *(FileDocumentCache, "_state_before_edit", _sees_no_notes),
        merges.test_edit_met_first_by_a_process_that_never_read_the_document,
    ),
    Bug(
        "a save under a change on its way is replaced",
        *(Publisher, "_is_edit", _forgets_edit),
        merges.test_save_under_a_change_on_its_way_merges,
    ),
    Bug(
        "a broken file is written over",
        *(Publisher, "_is_edit", _takes_any_fault),
        merges.test_broken_file_under_a_change_on_its_way_waits_for_the_person,
    ),
    Bug(
        "a file that is gone for a moment is a deletion",
        *(hand_edits, "ABSENCE_SECONDS", lambda right: 0),
        merges.test_file_that_is_gone_for_a_moment_is_not_a_deletion,
    ),
)


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name.replace(" ", "-"))
def test_bug_in_the_merge_is_seen(bug: Bug, store: DocumentStore, path: Path, root: Path) -> None:
    given = {"store": store, "path": path, "root": root, "named": 3}
    wanted = bug.seen_by.__code__.co_varnames[: bug.seen_by.__code__.co_argcount]
    with bug.planted(), pytest.raises(SEEN):
        bug.seen_by(**{name: given[name] for name in wanted})
