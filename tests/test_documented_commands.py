"""Run the commands of README, docs/python.md and the operators' pages, in the order of reading.

Commands of manage.py run in this process, one after the other over one data folder; what happens
between them in the manual's story is in `BEFORE`. What cannot run here is named in `ELSEWHERE`,
with the reason: a command that is in neither fails the test.
"""

import io
import json
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from accounts.models import User
from docstore import NotFound
from tests.documented import operator_manual, session
from tests.folders import exact
from utils.json_storage import json_storage
from workspace.request_context import request_id
from workspace.schema.validation import InvalidRecord

pytestmark = pytest.mark.django_db(transaction=True)

PROJECT = Path(__file__).resolve().parents[1]
README = (PROJECT / "README.md").read_text("utf-8")
PYTHON = (PROJECT / "docs/python.md").read_text("utf-8")
MANUAL = operator_manual()
MANAGE = ".venv/bin/python manage.py "

ELSEWHERE = {
    r"git clone |cd |git pull ": "needs a remote checkout",
    r"make \w+$|make run": "a target of the Makefile: test_documentation looks",
    rf"{MANAGE}(createsuperuser|changepassword dora|shell)$": "asks a person",
    r"rsync |pg_dump |hdparm |smartctl ": "needs another machine, PostgreSQL, or a disk",
    r"cp -a |mv |ls -t |unzip ": "moves, lists or reads files; nothing of ours",
    r"umask ": "a setting of the shell",
    r"pipx |neuralflow serve$": "tests/test_release.py installs the package",
    r"cat data": "test_documentation compares the file",
    r"NEURALFLOW_\w+=": "settings; no command",
}


def sh_commands(document: str) -> list[str]:
    """The lines of all blocks that a shell would read, without prompt, comment and indent."""
    lines = []
    for kind, block in re.findall(r"^ *```(sh|console)\n(.*?)^ *```", document, re.S | re.M):
        for line in block.splitlines():
            if kind == "sh" or line.startswith("$ "):
                lines.append(line.strip().removeprefix("$ ").partition("  #")[0].strip())
    return [line for line in lines if line]


@pytest.mark.parametrize(
    ("document", "fewest"), [(README, 3), (MANUAL, 30)], ids=["README", "operators"]
)
def test_every_command_is_run_or_named_with_a_reason(document: str, fewest: int) -> None:
    commands = sh_commands(document)
    assert len(commands) >= fewest
    for command in commands:
        ours = command.startswith(MANAGE) and not re.match(rf"{MANAGE}(createsup|shell)", command)
        named = any(re.match(pattern, command) for pattern in ELSEWHERE)
        assert ours or named, command


def masked(text: str, folder: Path) -> list[str]:
    """The lines, with numbers, ids and times left out: a manual cannot know them."""
    text = text.replace(str(folder), "/srv/neuralflow/data")
    text = re.sub(r"\d{4}-\d\d-\d\dT[\d:.-]+Z", "TIME", text)
    text = re.sub(r"[0-9a-f]{8}-[0-9a-f-]{27}", "UUID", text)
    text = re.sub(r"\b(segment|document)s\b", r"\1", re.sub(r"\d+", "N", text))
    lines = [re.sub(r"  (open|closed)$", "", line.strip()) for line in text.splitlines()]
    # A change whose file is a moment behind: tests/core/test_store_dump.py shows it for sure.
    return [line for line in lines if line and "not known to be in its file" not in line]


def run(command: str) -> str:
    """What a command of manage.py prints, errors included."""
    json_storage.close()
    name, *arguments = shlex.split(command.removeprefix(MANAGE))
    out = io.StringIO()
    with redirect_stdout(out), redirect_stderr(out):
        try:
            call_command(name, *arguments, stdout=out, stderr=out)
        except CommandError as error:
            out.write(f"CommandError: {error}\n")
    return out.getvalue()


def _people(folder: Path) -> None:
    for name in ("alice", "bob"):
        User.objects.create_user(name, f"{name}@example.com", "Owls-hunt-at-dusk")
    User.objects.update(first_name="Changed behind the store")


def _two_faults(folder: Path) -> None:
    first, second = User.objects.order_by("pk").values_list("pk", flat=True)
    task = (
        '{\n  "tasks": [\n    {\n      "id": 1,\n      "title": "x",\n      "priority": "urgent"\n'
    )
    exact(folder / f"tasks/tasks_{first}.json").write_text(task + "    }\n  ]\n}\n")
    broken = '{\n  "projects": [\n    {"id": 1}\n\n    {"id": 2}\n  ]\n}\n'
    exact(folder / f"projects/projects_{second}.json").write_text(broken)


def _repair(folder: Path) -> None:
    for path in folder.glob("*/*_*.json"):
        if "urgent" in path.read_text() or '{"id": 2}' in path.read_text():
            path.unlink()
    run(f"{MANAGE}setup_data --sync-users")


def _dora(folder: Path) -> None:
    _repair(folder)
    document = {"id": 900, "username": "dora", "email": "dora@example.com", "activities": []}
    (folder / "users/user_900.json").write_text(json.dumps(document))


def _one_task(folder: Path) -> None:
    owner = User.objects.get(username="dora").pk
    task = json_storage.create("tasks", owner, {"title": "x"})
    before = request_id.set("09a98040-30fa-49ca-961e-07e0d04f56f1")
    json_storage.delete("tasks", owner, task["id"])
    request_id.reset(before)


BEFORE: dict[str, Callable[[Path], None]] = {
    "setup_data --sync-users": _people,
    "setup_data --validate": _two_faults,
    "setup_data --adopt-users --sync-users": _dora,
    "store_dump": _one_task,
}


def test_operator_pages_in_order_print_what_they_show(data_folder: Path) -> None:
    told = 0
    for command, output in session(MANUAL):
        if not command.startswith(MANAGE) or re.match(rf"{MANAGE}createsup", command):
            continue
        command, _and, _rest = command.partition(" && ")
        if before := BEFORE.pop(command.removeprefix(MANAGE), None):
            before(data_folder)
        newest = sorted(path.stem for path in (data_folder / "backups").glob("*.json"))[-1:]
        command = re.sub(r"neuralflow_\S+Z", newest[0] if newest else "", command)
        command = re.sub(r"(--document )tasks/tasks_\d+", _document_of_dora, command)
        command = re.sub(r"--revoke \d+", _token_of_dora, command)
        printed = run(command)
        actual = masked(printed, data_folder)
        for line in masked(output, data_folder):
            assert line in actual, f"{command} does not print {line!r}, but\n{printed}"
            told += 1
    assert BEFORE == {}
    assert told > 30


def _document_of_dora(found: re.Match[str]) -> str:
    return f"{found[1]}tasks/tasks_{User.objects.get(username='dora').pk}"


def _token_of_dora(found: re.Match[str]) -> str:
    return f"--revoke {User.objects.get(username='dora').api_tokens.get().pk}"


def test_operator_pages_commands_run_without_error(data_folder: Path) -> None:
    for bare in sh_commands(MANUAL):
        if bare.startswith(MANAGE) and not re.search(
            r"createsup|dora|NAME|shell|neuralflow_", bare
        ):
            printed = run(bare.partition(" > ")[0])
            assert "CommandError" not in printed, f"{bare}: {printed}"


def test_python_page_example_stores_what_it_says(data_folder: Path, alice: User) -> None:
    (snippet,) = re.findall(r"```python\n(.*?)```", PYTHON, re.S)
    exec(re.sub(r"(?<=[(,]) ?1(?=[,)])", str(alice.pk), snippet), {})
    (task,) = json_storage.get_user_tasks(alice.pk)
    assert (task["title"], task["status"]) == ("Train the baseline", "completed")


def test_python_page_lists_methods_that_exist(data_folder: Path, alice: User) -> None:
    names = re.findall(r"`(\w+)(?:\(|`,|` \|)", PYTHON.partition("| Raises |")[0])
    assert [name for name in names if not callable(getattr(json_storage, name, None))] == []
    assert len(names) > 14
    owner = alice.pk
    record = json_storage.create("projects", owner, {"name": "X-rays"})
    record["name"] = "a copy"
    assert json_storage.get("projects", owner, record["id"])["name"] == "X-rays"
    assert len(json_storage.list("projects", owner)) == 1
    json_storage.delete("projects", owner, record["id"])
    with pytest.raises(NotFound):
        json_storage.get("projects", owner, record["id"])
    with pytest.raises(InvalidRecord, match="nmae"):
        json_storage.create("projects", owner, {"nmae": "X"})


def test_the_storage_test_of_the_manual_succeeds(tmp_path: Path) -> None:
    ran = subprocess.run(
        [sys.executable, PROJECT / "test_json_storage.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert ran.returncode == 0, ran.stderr
    assert "completed" in ran.stdout.splitlines()[-1]
