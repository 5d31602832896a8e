"""Acceptance test of the storage system: the requirements in order.

    python test_json_storage.py

runs it in a temporary folder, without touching the data folder or the database. It exits with 1 at
the first failure. pytest runs the same steps.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import secrets
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from neuralflow import own_environment

if __name__ == "__main__":
    own_environment.enter()

from django.contrib.auth import get_user_model

from docstore import open_store
from utils.data_initializer import FOLDERS, DataInitializer
from utils.json_storage import JSONStorageManager
from workspace.schema.validation import COLLECTIONS, RECORD_COLLECTIONS

RULE = "=" * 50
TASK = {"title": "Train the baseline", "priority": "high", "tags": ["vision"]}
PROJECT = {"name": "Vision", "technologies": ["python"], "budget": 12_000.5}
MODEL = {"name": "baseline", "model_type": "classification", "accuracy": 87.5}


class Scratch:
    """A store in an empty folder, with two users who have no accounts."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "data"
        self._initializer: DataInitializer | None = None
        people = get_user_model()
        self.alice: Any = people(pk=1, username="alice", email="alice@example.com")
        self.bob: Any = people(pk=2, username="bob", email="bob@example.com")
        self.alice.set_unusable_password()

    @property
    def initializer(self) -> DataInitializer:
        if self._initializer is None:
            layouts = [spec.layout for spec in COLLECTIONS.values()]
            self.storage = JSONStorageManager(open_store(self.folder.as_uri(), layouts))
            accounts = get_user_model()._default_manager.none()
            self._initializer = DataInitializer(self.storage, accounts)
        return self._initializer

    def close(self) -> None:
        """Close the store, so that the folder can be removed."""
        if self._initializer is not None:
            self.storage.close()

    def file(self, name: str) -> Any:
        """Return the content of a file after publishing it, which otherwise lags by up to 0.1 s."""
        self.storage.publish()
        return json.loads((self.folder / name).read_text(encoding="utf-8"))


def expect(holds: object, otherwise: str) -> None:
    """Raise AssertionError unless the condition holds, with `python -O`, too."""
    if not holds:
        raise AssertionError(otherwise)


def data_structure_initialization(scratch: Scratch) -> None:
    scratch.initializer.initialize_data_structure()
    for name in FOLDERS:
        expect((scratch.folder / name).is_dir(), f"there is no folder {name}")
    again = scratch.initializer.initialize_data_structure()
    expect(again == [], "running it again made something")


def user_data_storage(scratch: Scratch) -> None:
    for user in (scratch.alice, scratch.bob):
        stored = scratch.storage.save_user_data(user)
        file = scratch.file(f"users/user_{user.pk}.json")
        expect(stored == file, "the file is not what was returned")
        expect(file["username"] == user.username, "the file has another name in it")
        expect("password" not in file, "a password is in the file")


def task_data_storage(scratch: Scratch) -> None:
    _store(scratch, "tasks", scratch.storage.save_task_data, TASK)


def project_data_storage(scratch: Scratch) -> None:
    _store(scratch, "projects", scratch.storage.save_project_data, PROJECT)


def ai_model_data_storage(scratch: Scratch) -> None:
    _store(scratch, "models", scratch.storage.save_model_data, MODEL)


def _store(
    scratch: Scratch,
    collection: str,
    save: Callable[[int, dict[str, Any]], dict[str, Any]],
    data: dict[str, Any],
) -> None:
    stored = save(1, data)
    expect(stored["id"] == 1 and stored["user_id"] == 1, "it has another id or owner")
    expect(data.items() <= stored.items(), "what was given is not what was stored")
    file = scratch.file(f"{collection}/{collection}_1.json")
    expect(file[collection] == [stored], "the file is not what was returned")
    expect(save(1, {**stored, **data}) and len(scratch.storage.list(collection, 1)) == 1, "twice")


def data_retrieval(scratch: Scratch) -> None:
    storage = scratch.storage
    user = storage.get_user_data(1)
    expect(user and user["email"] == "alice@example.com", "alice's document is another one")
    for read, data in (
        (storage.get_user_tasks, TASK),
        (storage.get_user_projects, PROJECT),
        (storage.get_user_models, MODEL),
    ):
        (record,) = read(1)
        expect(data.items() <= record.items(), "a record came back changed")
        expect(read(2) == [], "bob was shown what is alice's")
    expect(storage.get_user_data(99) is None, "there is a document of nobody")


def activity_logging(scratch: Scratch) -> None:
    storage = scratch.storage
    storage.update_user_activity(1, "login", "Signed in", {"ip_address": "192.0.2.7"})
    storage.save_user_data(scratch.alice)
    (activity,) = storage.activities(1)
    expect(activity["type"] == "login", "another activity was logged")
    expect(activity["metadata"] == {"ip_address": "192.0.2.7"}, "its metadata changed")
    expect(scratch.file("users/user_1.json")["activities"] == [activity], "it is not in the file")


STEPS: list[tuple[str, Callable[[Scratch], None]]] = [
    ("data structure initialization", data_structure_initialization),
    ("user data storage", user_data_storage),
    ("task data storage", task_data_storage),
    ("project data storage", project_data_storage),
    ("AI model data storage", ai_model_data_storage),
    ("data retrieval", data_retrieval),
    ("activity logging", activity_logging),
]


def storage_statistics(scratch: Scratch) -> dict[str, int]:
    stats = scratch.initializer.get_storage_stats()
    return {name: stats[f"total_{name}"] for name in ("users", *RECORD_COLLECTIONS)}


def run(folder: Path) -> bool:
    """Run all steps, print their results, and return whether all passed."""
    print(f"Testing NeuralFlow JSON Storage System\n{RULE}")
    scratch, passed = Scratch(folder), True
    for number, (title, step) in enumerate(STEPS, 1):
        print(f"{number}. Testing {title}... ", end="")
        try:
            step(scratch)
        except Exception as fault:  # any exception is a failure to report
            print(f"✗ {type(fault).__name__}: {fault}")
            passed = False
            break
        print("✓")
    if passed:
        print(f"{len(STEPS) + 1}. Storage statistics:")
        for name, total in storage_statistics(scratch).items():
            print(f"   - total_{name}: {total}")
    scratch.close()
    print(f"{RULE}\nJSON Storage System test {'completed! ✓' if passed else 'failed! ✗'}")
    return passed


def main() -> int:
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8")  # the check marks need it
    with tempfile.TemporaryDirectory(prefix="neuralflow-test-") as folder:
        scratch = Path(folder)
        os.environ |= {
            "DJANGO_SETTINGS_MODULE": "neuralflow.settings",
            "NEURALFLOW_STORE": (scratch / "unused").as_uri(),
            "DATABASE_URL": "sqlite://:memory:",
            "NEURALFLOW_SECRET_KEY": secrets.token_urlsafe(),
        }
        import django

        django.setup()
        return 0 if run(scratch) else 1


# For pytest: each step runs after the ones it depends on, and the complete listing is compared.


def _take(steps: int, folder: Path) -> Scratch:
    scratch = Scratch(folder)
    for _, step in STEPS[:steps]:
        step(scratch)
    return scratch


def test_1_data_structure_initialization(tmp_path: Path) -> None:
    _take(1, tmp_path)


def test_2_user_data_storage(tmp_path: Path) -> None:
    _take(2, tmp_path)


def test_3_task_data_storage(tmp_path: Path) -> None:
    _take(3, tmp_path)


def test_4_project_data_storage(tmp_path: Path) -> None:
    _take(4, tmp_path)


def test_5_ai_model_data_storage(tmp_path: Path) -> None:
    _take(5, tmp_path)


def test_6_data_retrieval(tmp_path: Path) -> None:
    _take(6, tmp_path)


def test_7_activity_logging(tmp_path: Path) -> None:
    _take(7, tmp_path)


def test_8_storage_statistics(tmp_path: Path) -> None:
    totals = storage_statistics(_take(7, tmp_path))
    assert totals == {"users": 2, "tasks": 1, "projects": 1, "models": 1}


LISTING = """\
Testing NeuralFlow JSON Storage System
==================================================
1. Testing data structure initialization... ✓
2. Testing user data storage... ✓
3. Testing task data storage... ✓
4. Testing project data storage... ✓
5. Testing AI model data storage... ✓
6. Testing data retrieval... ✓
7. Testing activity logging... ✓
8. Storage statistics:
   - total_users: 2
   - total_tasks: 1
   - total_projects: 1
   - total_models: 1
==================================================
JSON Storage System test completed! ✓
"""


def _printed(folder: Path) -> tuple[bool, str]:
    with contextlib.redirect_stdout(io.StringIO()) as out:
        passed = run(folder)
    return passed, out.getvalue()


def test_it_prints_the_listing(tmp_path: Path) -> None:
    assert _printed(tmp_path) == (True, LISTING)


def test_it_says_what_is_not_so(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("no folder")
    whole, text = _printed(tmp_path)
    assert not whole
    assert "\n1. Testing data structure initialization... ✗ Unavailable: cannot open " in text
    assert text.endswith("JSON Storage System test failed! ✗\n")


if __name__ == "__main__":
    sys.exit(main())
