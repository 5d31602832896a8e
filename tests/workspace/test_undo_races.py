"""Processes that undo, and change, the same at once: each change counts, and each undo is whole."""

from __future__ import annotations

from pathlib import Path

from accounts.models import User
from tests.utils.processes import started, told_by
from utils.json_storage import json_storage
from workspace.request_context import latest_commit

ALICE, PROCESSES = 7, 4

UNDOER = """
import sys
from docstore import open_store
from utils.json_storage import JSONStorageManager
from workspace.records.undo import Touched
from workspace.schema.validation import COLLECTIONS

url, commit = sys.argv[1], int(sys.argv[2])
storage = JSONStorageManager(open_store(url, [spec.layout for spec in COLLECTIONS.values()]))
storage.list("tasks", 7)
print("ready", flush=True)
sys.stdin.readline()
try:
    storage.undo(7, commit)
    print("undone", end="")
except Touched:
    print("touched", end="")
"""

CHANGER = """
import sys
from docstore import open_store
from utils.json_storage import JSONStorageManager
from workspace.schema.validation import COLLECTIONS

storage = JSONStorageManager(open_store(sys.argv[1], [s.layout for s in COLLECTIONS.values()]))
storage.list("tasks", 7)
print("ready", flush=True)
sys.stdin.readline()
storage.update("tasks", 7, 2, {"description": "By another window"})
print("changed", end="")
"""


def _two_tasks_changed() -> int:
    json_storage.save_user_data(User(pk=ALICE, username="alice"), lay_out=True)
    for title in ("Train", "Rest"):
        json_storage.create("tasks", ALICE, {"title": title})
    updates = [{"op": "update", "id": n, "changes": {"priority": "high"}} for n in (1, 2)]
    json_storage.bulk("tasks", ALICE, updates)
    return latest_commit.get()


def _priorities() -> list[str]:
    return [task["priority"] for task in json_storage.list("tasks", ALICE)]


def test_concurrent_undo_exactly_one_succeeds(data_folder: Path) -> None:
    commit = _two_tasks_changed()
    undoers = [started(UNDOER, data_folder.as_uri(), commit) for _ in range(PROCESSES)]
    assert sorted(told_by(undoers)) == ["touched"] * (PROCESSES - 1) + ["undone"]
    assert _priorities() == ["medium", "medium"]


def test_a_change_beside_an_undo_is_kept_and_the_undo_is_whole_or_not_at_all(
    data_folder: Path,
) -> None:
    commit = _two_tasks_changed()
    undoers = [started(UNDOER, data_folder.as_uri(), commit) for _ in range(2)]
    told = told_by([*undoers, started(CHANGER, data_folder.as_uri())])
    assert told[-1] == "changed"
    assert json_storage.get("tasks", ALICE, 2)["description"] == "By another window"
    assert _priorities() == (["medium"] * 2 if "undone" in told else ["high"] * 2)
