"""Bugs are planted in the backups: for each, the test that should see it does."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from backups import accounts, create, encryption, manifest, remove, restore
from docstore import Corrupt, StoreError, Transaction
from tests.backups import test_backups as backups
from tests.backups import test_places as places
from tests.harness.planted import NOTHING_DONE, Plant, returning

SEEN = (AssertionError, StoreError, pytest.fail.Exception, ValueError, LookupError)
settled, key = backups.settled, places.key  # the fixtures of those tests


@dataclass(frozen=True)
class Bug(Plant):
    """With it planted, `seen_by` must fail."""

    seen_by: Callable[..., None]


def _pins_early(right: Any) -> Any:
    @contextmanager
    def pinned(database: Any) -> Iterator[Callable[[], Any]]:
        with database.pinned() as moment:
            yield lambda: moment

    return pinned


class _Everything(dict[str, int]):
    def __contains__(self, name: object) -> bool:
        return True

    def __missing__(self, name: str) -> int:
        return 0


def _retains_packs(right: Any) -> Any:
    def forget(backup: Any) -> None:
        if not hasattr(backup, "reader"):
            right(backup)

    return forget


def _removes_copy_first(right: Any) -> Any:
    def finish(root: Path, database: Any) -> bool:
        path = root / restore.TO_RESTORE
        if not path.is_file():
            return False
        copy = path.rename(root.parent / "copy")
        database.restore(copy)
        return True

    return finish


def _replaces_accounts_later(right: Any) -> Any:
    """Leave the copy out of the swap, so that a kill loses it."""

    def unpacked(paths: Any, present: Any) -> Any:
        return right({name: path for name, path in paths.items() if name != restore.TO_RESTORE}, [])

    return unpacked


BUGS = (
    Bug(
        "what is changed while files are read is not read again",
        *(create._Creation, "_changed_since", returning(set())),
        backups.test_backup_shows_one_moment_when_documents_and_accounts_change_while_it_reads,
    ),
    Bug(
        "accounts are of the beginning, documents of the end",
        *(create, "_pinned", _pins_early),
        backups.test_backup_shows_one_moment_when_documents_and_accounts_change_while_it_reads,
    ),
    Bug(
        "a file is known by its name",
        *(create, "_identity", returning((0, 0, 0, 0))),
        backups.test_file_overwritten_with_its_old_size_and_time_is_read_again,
    ),
    Bug(
        "size and mtime tell a file",
        *(create, "_identity", lambda right: lambda status: (0, *right(status)[1:3], 0)),
        backups.test_file_overwritten_with_its_old_size_and_time_is_read_again,
    ),
    Bug(
        "a file of this very moment is trusted",
        *(create, "_SETTLED_NS", lambda right: 0),
        backups.test_file_that_was_just_written_is_read_again,
    ),
    Bug(
        "packs that were removed are believed to be there",
        *(create, "_load_index", lambda right: lambda path, stored: right(path, _Everything())),
        backups.test_packs_that_were_removed_are_written_again,
    ),
    Bug(
        "a manifest's checksum is not compared",
        *(manifest, "_checked", lambda right: lambda name, data: (_decoded(name, data), "")),
        backups.test_manifest_with_a_changed_line_is_refused,
    ),
    Bug(
        "a verification reads packs from memory",
        *(manifest.Backup, "forget", _retains_packs),
        backups.test_verification_is_recorded_beside_the_backup,
    ),
    Bug(
        "the copy of the accounts goes before they are replaced",
        *(restore, "finish_accounts", _removes_copy_first),
        backups.test_accounts_that_cannot_be_replaced_now_are_replaced_later,
    ),
    Bug(
        "the accounts are not in the swap",
        *(restore, "_Replacement", _replaces_accounts_later),
        backups.test_backup_restored_brings_back_documents_and_accounts,
    ),
    Bug(
        "ids are given again after a restore",
        *(Transaction, "reserve_ids", NOTHING_DONE),
        backups.test_one_owners_documents_are_restored_and_ids_are_not_given_again,
    ),
    Bug(
        "a change is applied to another state",
        *(restore, "_before", lambda right: lambda document, edit, layout: edit.before),
        backups.test_changes_that_do_not_fit_the_backup_are_refused,
    ),
    Bug(
        "a removed backup takes the packs of others along",
        *(remove, "backup_names", returning([])),
        places.test_removed_backup_leaves_what_others_need,
    ),
    Bug(
        "sessions are in the backup",
        *(accounts._SqliteMoment, "_empty", NOTHING_DONE),
        backups.test_sessions_are_not_in_a_backup,
    ),
    Bug(
        "contents are not encrypted",
        *(encryption.Envelope, "seal", lambda right: lambda envelope, data: data),
        places.test_encrypted_backup_needs_the_identity_of_a_recipient,
    ),
)


def _decoded(name: str, data: bytes) -> dict[str, Any]:
    try:
        content = json.loads(data)
    except ValueError as error:
        raise Corrupt(name, "is no JSON") from error
    assert isinstance(content, dict)
    return content


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name)
def test_planted_bug_in_backups_is_seen(bug: Bug, request: pytest.FixtureRequest) -> None:
    given = {
        name: request.getfixturevalue(name) for name in inspect.signature(bug.seen_by).parameters
    }
    with bug.planted(), pytest.raises(SEEN):
        bug.seen_by(**given)
