"""Count the calls of our own code that a request makes, and the modules that they are in.

    .venv/bin/python -m benchmarks.calls            the counts
    .venv/bin/python -m benchmarks.calls --modules  and the calls per module

The requests run in this process, on a store of their own: a POST of a task, and a GET of the list
of 100 tasks that the process has read before.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections import Counter
from pathlib import Path
from types import FrameType
from typing import Any

PROJECT = Path(__file__).resolve().parent.parent
OWN = ("docstore", "workspace", "utils", "api", "accounts", "web", "core", "neuralflow")


class CallCounter:
    """Counts the calls of functions in our packages, per module and function."""

    def __init__(self) -> None:
        self.calls: Counter[tuple[str, str]] = Counter()
        self.moves = 0
        self._last = ""

    def __call__(self, frame: FrameType, event: str, _argument: Any) -> None:
        if event != "call":
            return
        path = frame.f_code.co_filename
        if not path.startswith(f"{PROJECT}{os.sep}") or f"{os.sep}.venv{os.sep}" in path:
            return
        module = Path(path).relative_to(PROJECT).as_posix()
        if module.split("/")[0] not in OWN or frame.f_code.co_name in _COMPREHENSIONS:
            return
        self.calls[module, frame.f_code.co_qualname] += 1
        self.moves += module != self._last
        self._last = module

    @property
    def total(self) -> int:
        return self.calls.total()

    @property
    def modules(self) -> Counter[str]:
        modules: Counter[str] = Counter()
        for (module, _function), count in self.calls.items():
            modules[module] += count
        return modules


_COMPREHENSIONS = {"<listcomp>", "<dictcomp>", "<setcomp>", "<genexpr>"}


def _count(call: Any) -> CallCounter:
    counter = CallCounter()
    sys.setprofile(counter)
    try:
        response = call()
    finally:
        sys.setprofile(None)
    assert response.status_code in {200, 201}, response.content
    return counter


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--modules", action="store_true", help="print the calls per module")
    parser.add_argument("--functions", action="store_true", help="print the calls per function")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ |= {
            "DJANGO_SETTINGS_MODULE": "neuralflow.settings",
            "NEURALFLOW_STORE": (Path(folder) / "data").as_uri(),
            "DATABASE_URL": f"sqlite:///{folder}/db.sqlite3",
            "NEURALFLOW_SECRET_KEY": "x" * 50,
        }
        import django

        django.setup()
        _run(options)


def _run(options: argparse.Namespace) -> None:
    from django.core.management import call_command
    from django.test import Client
    from django.test.utils import setup_test_environment

    from accounts.models import User
    from accounts.tokens import create_token
    from utils.json_storage import json_storage

    setup_test_environment()
    call_command("migrate", verbosity=0)
    user = User.objects.create_user("alice", "alice@example.com", "correct horse battery")
    _token, text = create_token(user, "benchmark")
    client = Client(headers={"Authorization": f"Bearer {text}"})
    for number in range(100):
        json_storage.create("tasks", user.pk, {"title": f"Task {number}"})
    body = json.dumps({"title": "Train the baseline"})

    def post() -> Any:
        return client.post("/accounts/api/tasks/", body, content_type="application/json")

    def get() -> Any:
        return client.get("/accounts/api/tasks/?limit=100")

    for name, call in (("POST of a task", post), ("GET of 100 tasks, cached", get)):
        for _ in range(3):
            call()
        counter = _count(call)
        modules = counter.modules
        print(f"{name}: {counter.total} calls in {len(modules)} modules, {counter.moves} moves")
        if options.modules:
            for module, count in modules.most_common():
                print(f"  {count:4} {module}")
        if options.functions:
            for (module, function), count in counter.calls.most_common():
                print(f"  {count:4} {module} {function}")
    json_storage.close()


if __name__ == "__main__":
    main()
