"""Four processes of eight threads each add tasks to one person, while another keeps reading."""

from __future__ import annotations

import json
from pathlib import Path

from tests.folders import exact
from tests.utils.processes import go, started
from utils.json_storage import json_storage

PROCESSES, THREADS, TASKS_EACH = 4, 8, 6

WRITER = """
import sys
from concurrent.futures import ThreadPoolExecutor
from docstore import open_store
from workspace.users.document import Activity
from utils.json_storage import JSONStorageManager
from workspace.schema.validation import COLLECTIONS

url, name, threads, tasks = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
storage = JSONStorageManager(open_store(url, [spec.layout for spec in COLLECTIONS.values()]))

def add(thread):
    told = []
    for number in range(tasks):
        title = f"{name}.{thread}.{number}"
        task = storage.create("tasks", 7, {"title": title}, activity=Activity("x", title))
        told.append(f"{task['id']} {title}")
    return told

print("ready", flush=True)
sys.stdin.readline()
with ThreadPoolExecutor(threads) as pool:
    told = list(pool.map(add, range(threads)))
print(*sum(told, []), sep="\\n")
"""

READER = """
import json, sys
from pathlib import Path

stop, tasks, user = map(Path, sys.argv[1:])
reads, seen = 0, {tasks: 0, user: 0}
print("ready", flush=True)
sys.stdin.readline()
while not stop.exists():
    for path, name in ((tasks, "tasks"), (user, "activities")):
        document = json.loads(path.read_bytes())
        assert seen[path] <= len(document[name]) <= document["revision"]
        seen[path] = len(document[name])
    reads += 1
print(reads)
"""


def test_no_task_is_lost_and_no_reader_sees_half_a_file(data_folder: Path) -> None:
    from accounts.models import User

    json_storage.save_user_data(User(pk=7, username="alice"), lay_out=True)
    json_storage.create("tasks", 7, {"title": "first"})
    files = [exact(data_folder / name) for name in ("tasks/tasks_7.json", "users/user_7.json")]
    before = [json.loads(file.read_bytes())["revision"] for file in files]
    stop = data_folder.parent / "stop"
    reader = started(READER, stop, *files)
    writers = [
        started(WRITER, data_folder.as_uri(), name, THREADS, TASKS_EACH)
        for name in range(PROCESSES)
    ]
    for process in (reader, *writers):
        go(process)
    told = {}
    for writer in writers:
        out, error = writer.communicate(timeout=120)
        assert writer.returncode == 0, error
        told.update(dict(line.split() for line in out.splitlines()))
    stop.touch()
    reads, error = reader.communicate(timeout=120)
    assert reader.returncode == 0, error
    assert int(reads) > 10

    commits = PROCESSES * THREADS * TASKS_EACH
    assert len(told) == commits, "two tasks were given one id"
    tasks = json_storage.list("tasks", 7)[1:]
    assert {str(task["id"]): task["title"] for task in tasks} == told
    assert len(tasks) == commits
    documents = [json.loads(file.read_bytes()) for file in files]  # exact: the writers ended
    assert [document["revision"] for document in documents] == [
        revision + commits for revision in before
    ]
    assert documents[0]["last_id"] == commits + 1
    logged = sorted(activity["description"] for activity in documents[1]["activities"])
    assert logged == sorted(told.values())
    print(f"writers: {PROCESSES} x {THREADS}, commits: {commits}, reads meanwhile: {reads}")
