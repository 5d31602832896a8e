"""`nf`, against a live server and against what is none."""

import json
import os
import signal
import socket
import stat
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import version
from pathlib import Path
from typing import Any, ClassVar

import pytest

from tests.documented import BIN, PROJECT, run_session
from tests.server import Person, Server, running_server


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running_server(tmp_path_factory.mktemp("server")) as running:
        yield running


def nf(folder: Path, *words: str, stdin: str = "", **environment: str) -> tuple[int, str, str]:
    """Exit code, output and complaints of one command."""
    done = subprocess.run(
        [BIN / "nf", *words],
        input=stdin,
        cwd=folder,
        env={
            "PATH": os.environ["PATH"],
            "XDG_CONFIG_HOME": str(folder),
            "XDG_STATE_HOME": str(folder),
            **environment,
        },
        capture_output=True,
        text=True,
        timeout=60,
    )
    return done.returncode, done.stdout, done.stderr


def signed_in(person: Person) -> dict[str, str]:
    return {"NF_SERVER": person.server.address, "NF_TOKEN": person.token}


def test_the_documented_tour(server: Server, tmp_path: Path) -> None:
    server.person("alice")
    document = (PROJECT / "docs" / "cli.md").read_text()
    assert run_session(document, server, tmp_path) > 20


def test_the_token_is_kept_where_only_its_owner_may_read(server: Server, tmp_path: Path) -> None:
    dora = server.person("dora")
    told = ["login", "--server", server.address, "--token-stdin"]
    assert nf(tmp_path, *told, stdin=f"{dora.token}\n")[0] == 0

    kept = tmp_path / "neuralflow" / "config.toml"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert stat.S_IMODE(kept.parent.stat().st_mode) == 0o700
    assert [path.name for path in kept.parent.iterdir()] == ["config.toml"]


def test_a_token_that_is_none_is_not_kept(server: Server, tmp_path: Path) -> None:
    told = ["login", "--server", server.address, "--token-stdin"]
    code, _, complaint = nf(tmp_path, *told, stdin="nf_wrong\n")
    assert (code, list(tmp_path.iterdir())) == (3, [])
    assert "nf login" in complaint


def test_nf_output_omits_control_characters(server: Server, tmp_path: Path) -> None:
    eve = server.person("eve")
    title = "\u200fTake \u2028me\u00ad"
    assert eve.call("POST", "tasks/", {"title": title, "description": "a\nb"})[0] == 201
    code, output, _ = nf(tmp_path, "task", "list", **signed_in(eve))
    assert code == 0
    assert all(char.isprintable() or char == "\n" for char in output)
    assert "Take" in output


def test_a_task_is_added_in_plain_words(server: Server, tmp_path: Path) -> None:
    heidi = signed_in(server.person("heidi"))
    words = ["Compare runs", "26", "nov", "2031", "17:00", "!high", "#vision"]
    code, output, _ = nf(tmp_path, "add", *words, TZ="Europe/Madrid", **heidi)
    assert (code, output.partition(" (")[0]) == (0, "Added task 1: Compare runs")
    task = json.loads(nf(tmp_path, "task", "show", "1", "--json", **heidi)[1])
    assert task["due_date"] == "2031-11-26T16:00:00.000000Z"
    assert (task["priority"], task["tags"]) == ("high", ["vision"])
    for command in (["list"], ["show", "1"]):
        output = nf(tmp_path, "task", *command, TZ="Europe/Madrid", **heidi)[1]
        assert "2031-11-26 17:00" in output and "T16:00" not in output


def test_a_task_that_repeats_comes_again(server: Server, tmp_path: Path) -> None:
    gina = signed_in(server.person("gina"))
    words = ["--due", "2030-01-07", "--repeat", "weekly", "--item", "Water", "--item", "Turn"]
    assert nf(tmp_path, "task", "add", "Plants", *words, **gina)[0] == 0
    assert nf(tmp_path, "task", "done", "1", **gina)[0] == 0
    (task,) = json.loads(nf(tmp_path, "task", "list", "--json", **gina)[1])
    assert (task["id"], task["due_date"], task["repeat"]) == (2, "2030-01-14", "FREQ=WEEKLY")
    assert [item["text"] for item in task["checklist"]] == ["Water", "Turn"]
    assert nf(tmp_path, "task", "edit", "2", "--repeat", "none", **gina)[0] == 0
    code, _, complaint = nf(tmp_path, "task", "edit", "2", "--repeat", "hourly", **gina)
    assert code == 1 and "repeat must be a rule" in complaint


def task_of(folder: Path, number: int, who: dict[str, str]) -> dict[str, Any]:
    task: dict[str, Any] = json.loads(nf(folder, "task", "show", str(number), "--json", **who)[1])
    return task


def test_dates_and_repeats_are_words_that_the_server_reads(server: Server, tmp_path: Path) -> None:
    ivan = signed_in(server.person("ivan")) | {"TZ": "Asia/Tokyo"}
    words = ["--due", "26 nov 2031 at noon", "--repeat", "every month on the last friday"]
    assert nf(tmp_path, "task", "add", "Report", *words, **ivan)[0] == 0
    task = task_of(tmp_path, 1, ivan)
    assert task["due_date"] == "2031-11-26T03:00:00.000000Z"
    assert (task["repeat"], task["time_zone"]) == ("FREQ=MONTHLY;BYDAY=-1FR", "Asia/Tokyo")
    assert nf(tmp_path, "task", "add", "Call", "--repeat", "every 26 nov at 7:00", **ivan)[0] == 0
    assert task_of(tmp_path, 2, ivan)["due_date"].endswith("-11-25T22:00:00.000000Z")
    assert nf(tmp_path, "project", "add", "Vision", "--end", "31 dec 2031", **ivan)[0] == 0
    for text, said in (("someday", "is not today, next friday"), ("every day", "--repeat")):
        code, _, complaint = nf(tmp_path, "task", "edit", "1", "--due", text, **ivan)
        assert (code, said in complaint) == (2, True), complaint


def test_lists_and_projects_are_given_by_words_and_emptied_by_none(
    server: Server, tmp_path: Path
) -> None:
    judy = server.person("judy")
    who = signed_in(judy)
    for name in ("Chest", "Chest X-rays", "Sound"):
        assert judy.call("POST", "projects/", {"name": name})[0] == 201
    words = ["--tag", "a, b", "--tag", '"Paris, Texas"', "--item", "Salt, pepper"]
    assert nf(tmp_path, "task", "add", "Eat", *words, "--project", "chest", **who)[0] == 0
    assert nf(tmp_path, "task", "add", "Rest", **who)[0] == 0
    task = task_of(tmp_path, 1, who)
    assert (task["tags"], task["project_id"]) == (["a", "b", "Paris, Texas"], 1)
    assert [item["text"] for item in task["checklist"]] == ["Salt, pepper"]

    def listed(*words: str) -> list[int]:
        return [
            task["id"]
            for task in json.loads(nf(tmp_path, "task", "list", "--json", *words, **who)[1])
        ]

    assert listed("--tag", "a, x") == listed("--tag", '"Paris, Texas"') == [1]
    assert listed("--tag", "Paris, Texas") == listed("--project", "Chest") == [1]
    assert listed("--tag", "none") == listed("--project", "none") == [2]
    assert listed("--project", "none", "--project", "chest") == [1, 2]
    for name, said in (("Heart", "no project Heart"), ("Che", "several projects: 1 (Chest)")):
        code, _, complaint = nf(tmp_path, "task", "edit", "2", "--project", name, **who)
        assert (code, said in complaint) == (1, True), complaint
    nothing = ["--tag", "none", "--item", "none", "--project", "none"]
    assert nf(tmp_path, "task", "edit", "1", *nothing, **who)[0] == 0
    task = task_of(tmp_path, 1, who)
    assert (task["tags"], task["checklist"], task["project_id"]) == ([], [], None)


def test_nf_undo_reverts_latest_command_and_redo_repeats_it(server: Server, tmp_path: Path) -> None:
    kim = server.person("kim")
    who = signed_in(kim)
    code, _, complaint = nf(tmp_path, "undo", **who)
    assert (code, "no change of nf" in complaint) == (1, True)
    for title in ("One", "Two"):
        assert nf(tmp_path, "task", "add", title, **who)[0] == 0
    assert nf(tmp_path, "task", "delete", "1", "2", **who)[0] == 0
    for left in ([1, 2], []):
        code, output, _ = nf(tmp_path, "undo", **who)
        assert (code, output.count("Undone: ")) == (0, 2)
        assert [task["id"] for task in kim.call("GET", "tasks/")[1]["tasks"]] == left


def test_output_that_cannot_be_written_or_shown(server: Server, tmp_path: Path) -> None:
    leo = server.person("leo")
    who = signed_in(leo)
    records = [{"op": "create", "record": {"title": f"Owl 🦉 {n}"}} for n in range(1000)]
    assert leo.call("POST", "tasks/bulk/", {"operations": records})[0] == 200
    code, output, complaint = nf(tmp_path, "task", "list", PYTHONIOENCODING="latin-1", **who)
    assert (code, "Owl ? 7" in output, complaint) == (0, True, "")
    environment = {"PATH": os.environ["PATH"], "XDG_CONFIG_HOME": str(tmp_path), **who}
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [BIN / "nf", "task", "list"],
            env=environment,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
        )
    assert (done.returncode, done.stderr) == (
        1,
        "nf: the output cannot be written: No space left on device\n",
    )
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [BIN / "nf", "task", "list"],
        env=environment,
        stdout=writer,
        stderr=subprocess.PIPE,
        text=True,
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_token_from_a_file_may_end_with_a_line_break(server: Server, tmp_path: Path) -> None:
    mia = signed_in(server.person("mia"))
    assert nf(tmp_path, "task", "list", **mia | {"NF_TOKEN": mia["NF_TOKEN"] + "\n"})[0] == 0
    for token in ("nf_a\nb", "nf_a b", "nf_ä"):
        code, _, complaint = nf(tmp_path, "task", "list", **mia | {"NF_TOKEN": token})
        assert (code, complaint.startswith("nf: The token holds")) == (1, True)
    code, _, complaint = nf(tmp_path, "task", "list", **mia | {"NF_SERVER": "example.org"})
    assert (code, "example.org is no address of a server" in complaint) == (1, True)


def test_it_tells_its_version(tmp_path: Path) -> None:
    code, output, _ = nf(tmp_path, "--version")
    assert (code, output) == (0, f"nf, version {version('neuralflow')}\n")


def test_all_pages_of_a_list_are_fetched(server: Server, tmp_path: Path) -> None:
    frank = server.person("frank")
    records = [{"op": "create", "record": {"title": f"Task {n}"}} for n in range(1000)]
    for _ in range(2):
        assert frank.call("POST", "tasks/bulk/", {"operations": records})[0] == 200
    code, output, _ = nf(tmp_path, "task", "list", "--limit", "1500", "--json", **signed_in(frank))
    assert code == 0
    assert [task["id"] for task in json.loads(output)] == list(range(1, 1501))


def test_undo_that_fails_midway_continues_with_the_changes_that_are_left(tmp_path: Path) -> None:
    class Answers(BaseHTTPRequestHandler):
        """Undoes change 2, refuses 1 at first, and numbers each undoing."""

        asked: ClassVar[list[int]] = []

        def do_POST(self) -> None:
            number = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["sequence"]
            self.asked.append(number)
            refused = self.asked == [2, 1]
            body = {"detail": "changed since"} if refused else {"description": f"change {number}"}
            self.send_response(409 if refused else 200)
            if not refused:
                self.send_header("NeuralFlow-Sequence", str(2 + len(self.asked)))
            self.end_headers()
            self.wfile.write(json.dumps(body).encode())

        def log_message(self, *args: object) -> None:
            pass

    state = tmp_path / "neuralflow" / "undo.json"
    state.parent.mkdir()
    with serving(Answers) as address:
        who = {"NF_SERVER": address, "NF_TOKEN": "nf_x"}
        state.write_text(json.dumps({"server": address, "changes": [1, 2]}))
        code, output, complaint = nf(tmp_path, "undo", **who)
        assert (code, output, complaint) == (1, "Undone: change 2\n", "nf: changed since\n")
        assert json.loads(state.read_text())["changes"] == [1]
        code, output, _ = nf(tmp_path, "undo", **who)
        assert (code, output) == (0, "Undone: change 1\n")
        assert json.loads(state.read_text())["changes"] == [5]
    assert Answers.asked == [2, 1, 1]


class _Elsewhere(BaseHTTPRequestHandler):
    """A server that is no NeuralFlow; `answer` says how it behaves, `heard` what it was sent."""

    answer = "200"
    heard: list[str]

    def do_GET(self) -> None:
        self.heard.append(str(self.headers["Authorization"]))
        if self.answer == "away":
            self.send_response(302)
            self.send_header("Location", "http://127.0.0.2:1/")
        elif self.answer == "cut":
            self.send_response(200)
            self.send_header("Content-Length", "1000")
        else:
            self.send_response(200)
        self.end_headers()
        self.wfile.write(b"<html>")
        self.close_connection = True

    do_POST = do_GET

    def log_message(self, *args: object) -> None:
        pass


@contextmanager
def elsewhere(answer: str) -> Iterator[tuple[str, list[str]]]:
    handler = type("_Here", (_Elsewhere,), {"answer": answer, "heard": []})
    with serving(handler) as address:
        yield address, handler.heard


@contextmanager
def serving(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    """Answers by the handler, at this address."""
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


@pytest.mark.parametrize(("answer", "code"), [("200", 4), ("cut", 4), ("away", 1)])
def test_a_server_that_is_no_neuralflow_is_told_as_such(
    tmp_path: Path, answer: str, code: int
) -> None:
    with elsewhere(answer) as (address, _):
        found, _, complaint = nf(tmp_path, "task", "list", NF_SERVER=address, NF_TOKEN="nf_x")
    assert (found, "Traceback" in complaint) == (code, False)
    assert complaint.startswith("nf: ")


def test_a_call_that_broke_is_made_again_with_the_same_key(tmp_path: Path) -> None:
    with elsewhere("cut") as (address, heard):
        nf(tmp_path, "task", "add", "Once", NF_SERVER=address, NF_TOKEN="nf_x")
    assert heard == ["Bearer nf_x"] * 3


def test_a_server_that_is_not_there(tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{probe.getsockname()[1]}"
    code, _, complaint = nf(tmp_path, "task", "list", NF_SERVER=address, NF_TOKEN="nf_x")
    assert code == 4
    assert address in complaint


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_it_completes(tmp_path: Path, shell: str) -> None:
    code, output, _ = nf(tmp_path, "completion", shell)
    assert (code, "_NF_COMPLETE" in output) == (0, True)


def test_a_spoilt_file_of_settings_is_told_and_kept(tmp_path: Path) -> None:
    kept = tmp_path / "neuralflow" / "config.toml"
    kept.parent.mkdir()
    kept.write_text("token = ")
    code, _, complaint = nf(tmp_path, "quota")
    assert (code, kept.read_text()) == (1, "token = ")
    assert str(kept) in complaint


def test_an_export_never_overwrites_a_file(server: Server, tmp_path: Path) -> None:
    grace = server.person("grace")
    (tmp_path / "mine.zip").write_text("mine")
    code, _, complaint = nf(tmp_path, "export", "mine.zip", **signed_in(grace))
    assert (code, (tmp_path / "mine.zip").read_text()) == (1, "mine")
    assert "mine.zip is there already" in complaint
    assert [path.name for path in tmp_path.iterdir()] == ["mine.zip"]


def test_export_that_fails_or_is_interrupted_leaves_no_file(server: Server, tmp_path: Path) -> None:
    olivia = signed_in(server.person("olivia"))
    (tmp_path / ".mine.zip.part").write_text("of an export that was killed")
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    command = [BIN / "nf", "export", "mine.zip"]
    no_room = ["bash", "-c", 'ulimit -f 0; exec "$@"', "bash", *command]
    done = subprocess.run(
        no_room, cwd=tmp_path, env=environment | olivia, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (1, "nf: mine.zip cannot be written: File too large\n")

    asked, answered = threading.Event(), threading.Event()

    class Waits(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.set()
            answered.wait(60)

        def log_message(self, *args: object) -> None:
            pass

    with serving(Waits) as address:
        who = {"NF_SERVER": address, "NF_TOKEN": "nf_x"}
        waiting = subprocess.Popen(
            command, cwd=tmp_path, env=environment | who, stderr=subprocess.DEVNULL
        )
        assert asked.wait(60)
        waiting.send_signal(signal.SIGINT)
        assert waiting.wait(60) != 0
        answered.set()
    assert [path.name for path in tmp_path.iterdir()] == [".mine.zip.part"]
    assert nf(tmp_path, "export", "mine.zip", **olivia)[0] == 0
