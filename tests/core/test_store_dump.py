"""The commands `store_dump` and `store_checkpoint`, as an operator or a script runs them."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from pytest_django.fixtures import Settings

from docstore import Corrupt, open_store
from docstore.backends.files.backend import FilesBackend
from docstore.journal.reader import JournalReader
from tests.folders import contents, times
from utils.json_storage import json_storage
from workspace.schema.validation import COLLECTIONS

PROJECT = Path(__file__).resolve().parents[2]
TASKS = "tasks/tasks_1.json"


@pytest.fixture(autouse=True)
def accounts_up_to_9(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stands in for the database, which these tests do without: accounts 1 to 9 exist."""
    monkeypatch.setattr("workspace.users.document.has_account", lambda user_id: user_id < 10)


@dataclass
class Run:
    """What a run printed, and what it complained of."""

    out: str
    error: str

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()

    @property
    def json(self) -> Any:
        return json.loads(self.out)


def run(command: str, *arguments: str) -> Run:
    out = io.StringIO()
    try:
        call_command(command, *arguments, stdout=out, stderr=io.StringIO())
    except CommandError as error:
        return Run(out.getvalue(), str(error))
    return Run(out.getvalue(), "")


def dump(*arguments: str) -> Run:
    return run("store_dump", *arguments)


@pytest.fixture
def work(data_folder: Path) -> None:
    """Three changes of a task, one of a project; the storage stays open."""
    task = json_storage.save_task_data(1, {"title": "Train"})
    json_storage.update("tasks", 1, task["id"], {"status": "completed"})
    json_storage.save_project_data(2, {"name": "Vision"})
    json_storage.delete("tasks", 1, task["id"])


@pytest.fixture
def stopped(work: None, data_folder: Path) -> Path:
    """The only segment of the folder, which nobody has open."""
    json_storage.close()
    (segment,) = (data_folder / ".neuralflow/journal").glob("*.journal")
    return segment


def damage(segment: Path, text: bytes) -> int:
    """Breaks the frame that holds the text, and returns where the frame begins."""
    data = bytearray(segment.read_bytes())
    at = data.index(text)
    data[at] ^= 1
    segment.write_bytes(data)
    return data.rindex(b"\xf7NFJ", 0, at)


def test_the_summary_of_a_stopped_store(stopped: Path, data_folder: Path) -> None:
    lines = dump().lines
    assert lines[0] == f"Journal of {data_folder}:"
    assert lines[1].startswith("0000000000000001.journal  frames 1 to ")
    assert lines[1].endswith("of 1048576 bytes  closed")
    assert lines[-1].startswith("1 segment, 1048576 bytes, up to frame ")
    assert lines[-1].endswith("; 0 documents pending.")
    told = dump("--json").json
    assert told["pending"] == {} and told["problems"] == [] and told["reserve"] is True
    assert told["checkpoint"] >= 5 and told["segments"][0]["end"] == "closed"


def test_a_folder_into_which_nothing_was_written_yet(data_folder: Path) -> None:
    json_storage.publish()  # opened, and no more
    for arguments in ((), ("--entries",), ("--json",)):
        looked = dump(*arguments)
        assert not looked.error
    assert not run("store_checkpoint").error


def test_entries_are_one_line_each(stopped: Path) -> None:
    lines = dump("--entries").lines
    assert [line.split(" ", 4)[2::2] for line in lines[:-1]] == [
        ["1", f"{TASKS} r1 +(all)"],
        ["1", f"{TASKS} r2 ~tasks/1"],
        ["2", "projects/projects_2.json r1 +(all)"],
        ["1", f"{TASKS} r3 -tasks/1"],
    ]
    assert lines[-1] == "4 entries."


def test_entries_can_be_chosen(stopped: Path) -> None:
    assert len(dump("--document", TASKS).lines) == 4
    assert dump("--entries", "--limit", "1").lines[-1] == "1 entry."
    everything = dump("--entries", "--json").json["entries"]
    third = everything[1]["sequence"]
    assert dump("--entries", "--json", "--since", str(third)).json["entries"] == everything[2:]
    assert everything[0]["changes"][0]["edits"] == [{"path": [], "what": "added"}]


def test_in_full_with_values_before_and_after(stopped: Path) -> None:
    told = dump("--entries", "--json", "--full").json["entries"][1]["changes"][0]["edits"][0]
    assert told["path"] == ["tasks", 1]
    assert (told["before"]["status"], told["after"]["status"]) == ("pending", "completed")
    text = dump("--entries", "--full", "--document", TASKS).out
    assert '      - {"title": "Train"' in text and '      + {"title": "Train"' in text


def test_a_document_as_acknowledged(work: None, data_folder: Path) -> None:
    lines = dump(TASKS).lines
    assert lines[0] == "{" and '  "revision": 3' in lines
    assert lines[-1].startswith(f"{TASKS} has revision 3; its file is ")
    json_storage.publish()
    told = dump(TASKS, "--json").json
    assert told["is_exact"] and told["content"] == json.loads((data_folder / TASKS).read_text())


def test_a_document_of_which_the_file_is_behind(data_folder: Path, settings: Settings) -> None:
    """A server was killed: what it acknowledged is shown, and its file is not touched."""
    json_storage.save_task_data(1, {"title": "Train"})
    json_storage.publish()
    path = data_folder / TASKS
    before = path.read_bytes()
    json_storage.save_task_data(1, {"title": "Evaluate"})
    json_storage.publish()
    journal = data_folder / ".neuralflow/journal/0000000000000001.journal"
    path.unlink()
    path.write_bytes(before)
    data = journal.read_bytes()
    last = [frame.end for frame in JournalReader(data_folder).frames() if frame.kind == 2][-1]
    json_storage.close()
    journal.write_bytes(data[:last] + bytes(len(data) - last))  # nothing after the last commit
    path.write_bytes(before)
    kept = contents(data_folder, but=())
    assert dump("--json").json["pending"] == {TASKS: 1}
    told = dump(TASKS, "--json").json
    assert (told["revision"], told["is_exact"]) == (2, False)
    assert [task["title"] for task in told["content"]["tasks"]] == ["Train", "Evaluate"]
    assert contents(data_folder, but=()) == kept


def test_it_only_looks(stopped: Path, data_folder: Path) -> None:
    before = times(data_folder, but=())
    for arguments in ((), ("--entries",), ("--document", TASKS), (TASKS,)):
        dump(*arguments)
    assert times(data_folder, but=()) == before


def test_a_torn_tail_is_no_damage(stopped: Path) -> None:
    used = dump("--json").json["segments"][0]["used"]
    with stopped.open("r+b") as file:
        file.seek(used)
        file.write(b"\xf7NFJ half a frame")
    assert dump().error == ""
    assert dump("--json").json["segments"][0]["end"] == "torn"


def test_store_dump_damaged_journal_reports_offset_and_shows_rest(stopped: Path) -> None:
    at = damage(stopped, b"completed")
    for arguments in ((), ("--entries",)):
        error = dump(*arguments).error
        assert error.startswith(f"{stopped.name} is damaged at byte {at}: frame ")
        assert error.endswith("docs/troubleshoot.md says what to do.")
    assert dump("--entries").lines[-1] == "3 entries."
    told = dump(TASKS, "--json")
    assert f"is damaged at byte {at}" in told.error
    assert told.json["content"]["revision"] == 3  # the file's
    assert dump(TASKS).lines[-1] == f"{TASKS} has revision 3; its file is all that can be shown."


def test_a_missing_segment_is_told(stopped: Path) -> None:
    stopped.with_name("0000000000000100.journal").write_bytes(b"")
    assert "is damaged at byte" in dump().error


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["tasks/tasks_9.json"], "there is no tasks/tasks_9.json"),
        (["notes/x"], "there is no document notes/x: they are called like tasks/tasks_7.json"),
        (["--document", "tasks/tasks_07.json"], "there is no document tasks/tasks_07.json"),
    ],
)
def test_names_that_are_none(stopped: Path, arguments: list[str], words: str) -> None:
    assert dump(*arguments).error.startswith(words)
    assert dump(*arguments, "--json").json["error"].startswith(words)


@pytest.mark.parametrize("command", ["store_dump", "store_checkpoint"])
def test_store_commands_without_data_folder_report_it(
    settings: Settings, data_folder: Path, command: str
) -> None:
    assert run(command).error.startswith(f"the data folder {data_folder} is not there")
    settings.NEURALFLOW_STORE = "memory:"
    assert run(command).error.startswith("the store is not on files: it has no journal")
    assert not data_folder.exists()


def test_a_checkpoint_makes_the_files_exact(work: None, data_folder: Path) -> None:
    told = run("store_checkpoint")
    assert told.lines[0].startswith("All files are exact and durable, up to frame ")
    assert told.lines[0].endswith("0 segments retired; 1 segment kept, 1048576 bytes.")
    assert json.loads((data_folder / TASKS).read_text())["revision"] == 3
    assert dump("--json").json["pending"] == {}


def test_a_checkpoint_retires_what_the_settings_do_not_keep(
    settings: Settings, data_folder: Path
) -> None:
    for number in range(12):  # each fills a quarter of a segment
        large = {"x": "y" * (2**20 - 1_000)}
        json_storage.save_task_data(1, {"title": f"Task {number}", "metadata": large})
    json_storage.close()
    for path in data_folder.glob(".neuralflow/journal/*.journal"):
        hour_ago = path.stat().st_mtime - 3_601  # of the last hour, all is kept
        os.utime(path, (hour_ago, hour_ago))
    assert len(dump("--json").json["segments"]) > 2
    settings.NEURALFLOW_HISTORY_BYTES = 1
    assert run("store_checkpoint", "--json").json["retired"] > 1
    assert len(dump("--json").json["segments"]) == 1
    assert dump(TASKS, "--json").json["revision"] == 12


def test_store_dump_escapes_control_characters(data_folder: Path) -> None:
    json_storage.save_task_data(1, {"title": "Train", "description": "\x9b2J"})
    json_storage.close()
    assert "\x9b" not in dump(TASKS).out + dump("--entries", "--full").out


def test_manual_steps_for_damaged_journal_recover(
    data_folder: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """The commands of the chapter, as they stand there."""
    json_storage.save_task_data(1, {"title": "Train"})
    json_storage.publish()
    writer = os.fork()
    if not writer:  # a server that is killed before its files show what it acknowledged
        try:
            backend = json_storage.store.backend
            assert isinstance(backend, FilesBackend)
            backend._loop.in_background = False
            for title in ("Evaluate", "Deploy"):
                json_storage.save_task_data(1, {"title": title})
        finally:
            os._exit(0)
    os.waitpid(writer, 0)
    path, shown = data_folder / TASKS, (data_folder / TASKS).read_bytes()
    json_storage.store.backend._release()  # type: ignore[attr-defined]
    assert path.read_bytes() == shown
    (segment,) = (data_folder / ".neuralflow/journal").glob("*.journal")
    damage(segment, b"Evaluate")
    with pytest.raises(Corrupt, match=r"docs/troubleshoot\.md tells what to do"):
        open_store(data_folder.as_uri(), [spec.layout for spec in COLLECTIONS.values()])

    manual = (PROJECT / "docs/troubleshoot.md").read_text("utf-8")
    chapter = manual.partition("### The journal is damaged")[2].partition("\n## ")[0]
    blocks = re.findall(r"```sh\n(.*?)```", chapter, re.DOTALL)
    assert len(blocks) == 2
    subprocess.run(["python", "manage.py", "migrate", "-v0"], cwd=PROJECT, env=_own(data_folder))
    for block in blocks:
        commands = block.replace("/srv/neuralflow", str(tmp_path))
        commands = commands.replace(".venv/bin/python", "python")
        subprocess.run(["bash", "-c", commands], cwd=PROJECT, env=_own(data_folder), check=False)

    told = capfd.readouterr()
    assert told.err.count("is damaged at byte") == 2 and "total_tasks: 1" in told.out
    entries = (tmp_path / "entries.txt").read_text("utf-8")
    assert "Deploy" in entries and "Evaluate" not in entries
    assert (tmp_path / "data.damaged" / TASKS).read_bytes() == path.read_bytes() == shown
    assert (tmp_path / "journal.damaged" / segment.name).exists()
    json_storage.store.backend._release()  # type: ignore[attr-defined]  # the server that is stopped
    json_storage.close()
    json_storage.save_task_data(1, {"title": "Deploy"})
    assert [task["title"] for task in json_storage.get_user_tasks(1)] == ["Train", "Deploy"]


def _own(data_folder: Path) -> dict[str, str]:
    """The environment of commands that work on this folder, and on a database of their own."""
    return {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "NEURALFLOW_STORE": data_folder.as_uri(),
        "DATABASE_URL": f"sqlite:///{data_folder.parent / 'db.sqlite3'}",
        "NEURALFLOW_SECRET_KEY": "only for this test",
    }


def test_a_command_whose_output_is_closed_or_full_ends_without_a_traceback() -> None:
    def ended(stdout: int) -> tuple[int, str]:
        command = [sys.executable, "manage.py", "help"]
        done = subprocess.run(
            command, cwd=PROJECT, stdout=stdout, stderr=subprocess.PIPE, text=True, check=False
        )
        os.close(stdout)
        return done.returncode, done.stderr

    reader, writer = os.pipe()
    os.close(reader)
    assert ended(writer) == (0, "")
    full = "manage.py: the output cannot be written: No space left on device\n"
    assert ended(os.open("/dev/full", os.O_WRONLY)) == (1, full)
