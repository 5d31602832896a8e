"""Pages of lists: cursors, links, and entity tags."""

import base64
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from docstore import RecordList
from tests.api.conftest import Caller
from tests.folders import exact, forget_journal
from utils.json_storage import json_storage
from workspace.schema.collections import COLLECTIONS


@pytest.fixture(autouse=True)
def no_hurry(settings: Any) -> None:
    """These read pages faster than a person's programs may."""
    settings.NEURALFLOW_BURST = (1_000_000, 1)


ALL = (
    "",
    "sort=-due_date,title",
    "sort=-title",
    "status=pending",
    "q=task&sort=priority",
    "fields=id",
)


@pytest.fixture
def tasks(alice: Caller) -> Caller:
    """Thirty tasks, many of which are equal in what they may be ordered by."""
    alice.allow(100_000)
    days, priorities = (None, "2026-11-27", "2026-11-28T10:00:00Z"), ("low", "high")
    for number in range(30):
        task = {
            "title": f"Task {number % 5}",
            "due_date": days[number % 3],
            "priority": priorities[number % 2],
        }
        json_storage.save_task_data(alice.id, task)
    return alice


def pages(caller: Caller, query: str) -> list[list[int]]:
    """The ids of all pages, from the first that the query asks for on."""
    address, found = f"/accounts/api/tasks/?{query}", []
    while address is not None:
        answer = caller.client.get(address)
        assert answer.status_code == 200, answer.content
        found.append([record["id"] for record in answer.json()["tasks"]])
        address = answer.json()["next"]
    return found


@pytest.mark.parametrize("query", ALL)
@pytest.mark.parametrize("limit", [1, 7, 15, 30, 31])
def test_pages_together_are_the_list(tasks: Caller, query: str, limit: int) -> None:
    whole = [record["id"] for record in tasks.get(f"tasks/?{query}").json()["tasks"]]

    found = pages(tasks, f"{query}&limit={limit}")

    assert [one for page in found for one in page] == whole
    assert {len(page) for page in found[:-1]} <= {limit}
    assert len(found) == max(-(-len(whole) // limit), 1)


@pytest.mark.parametrize("query", ALL)
def test_pages_repeat_and_skip_nothing_while_others_add_and_delete(
    tasks: Caller, query: str
) -> None:
    whole = [record["id"] for record in tasks.get(f"tasks/?{query}").json()["tasks"]]
    address, found, gone = f"/accounts/api/tasks/?{query}&limit=4", [], set()
    while address is not None:
        told = tasks.client.get(address).json()
        found += [record["id"] for record in told["tasks"]]
        address = told["next"]
        # The very record that the page ended with goes, one that is yet to come, and some come.
        for one in (found[-1], next((one for one in whole if one not in found), 0)):
            if one and one not in gone:
                json_storage.delete("tasks", tasks.id, one)
                gone.add(one)
        if len(found) < 25:
            json_storage.save_task_data(tasks.id, {"title": "Task 2", "due_date": "2026-11-27"})

    assert len(found) == len(set(found)), "nothing twice"
    assert [one for one in found if one in whole] == [
        one for one in whole if one not in gone or one in found
    ]
    assert {one for one in whole if one not in gone} <= set(found), "nothing left out"


def test_links_lead_to_the_next_page_and_the_first(tasks: Caller) -> None:
    first = tasks.get("tasks/?status=pending&limit=20")

    following = first.json()["next"]
    assert following.startswith("/accounts/api/tasks/?status=pending&limit=20&cursor=")
    start = "/accounts/api/tasks/?status=pending&limit=20"
    assert first["Link"] == f'<{start}>; rel="first", <{following}>; rel="next"'
    last = tasks.client.get(following)
    assert last["Link"] == f'<{start}>; rel="first"'
    assert last.json()["next"] is None
    whole = tasks.get("tasks/")
    assert "next" not in whole.json()
    assert "Link" not in whole


def test_a_list_of_more_than_a_thousand_comes_in_pages(alice: Caller, data_folder: Path) -> None:
    keep(data_folder, alice, [{"id": n, "title": f"T {n}"} for n in range(1, 2302)])

    first = alice.get("tasks/").json()
    found = pages(alice, "")

    assert (len(first["tasks"]), first["total"]) == (1000, 2301)
    assert [len(page) for page in found] == [1000, 1000, 301]
    assert [one for page in found for one in page] == list(range(1, 2302))


def keep(data_folder: Path, caller: Caller, records: list[Any]) -> None:
    """Write the caller's file of tasks, as an older program left it."""
    path = exact(data_folder / "tasks" / f"tasks_{caller.id}.json")
    forget_journal(data_folder)
    path.write_text(json.dumps({"tasks": records}))


def test_a_file_out_of_order_comes_in_the_order_of_ids(alice: Caller, data_folder: Path) -> None:
    keep(data_folder, alice, [{"id": 3}, {"title": "no id"}, {"id": 1}, "no record", {"id": 2}])

    whole = alice.get("tasks/").json()

    assert whole == {"tasks": [{"id": 1}, {"id": 2}, {"id": 3}, {"title": "no id"}], "total": 4}


def test_records_that_cannot_be_told_apart_come_once_each(alice: Caller, data_folder: Path) -> None:
    spoilt = [{"id": 7, "n": n} for n in range(5)] + [{"n": n} for n in range(5, 9)]
    keep(data_folder, alice, spoilt)

    for limit in range(1, 10):
        address, found = f"/accounts/api/tasks/?limit={limit}", []
        while address:
            told = alice.client.get(address).json()
            found += [record["n"] for record in told["tasks"]]
            address = told["next"]
        assert found == list(range(9))


def encoded(value: Any) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode(value)).rstrip(b"=").decode()


def test_a_cursor_of_another_list_is_refused(tasks: Caller, charlie: Caller) -> None:
    cursor = tasks.get("tasks/?sort=title&limit=1").json()["next"].partition("cursor=")[2]
    assert tasks.get(f"tasks/?sort=title&limit=9&fields=id&cursor={cursor}").status_code == 200

    for caller, address in (
        (tasks, "tasks/"),
        (tasks, "tasks/?sort=-title"),
        (tasks, "tasks/?sort=title&status=pending"),
        (tasks, "tasks/?sort=title&q=a"),
        (tasks, "projects/?sort=name"),
        (charlie, "tasks/?sort=title"),
    ):
        answer = caller.get(f"{address}{'&' if '?' in address else '?'}cursor={cursor}")
        assert answer.status_code == 400, address
        assert answer.json()["errors"][0]["parameter"] == "cursor"


def test_no_cursor_that_somebody_made_up_does_harm(tasks: Caller) -> None:
    good = tasks.get("tasks/?sort=title&limit=1").json()["next"].partition("cursor=")[2]
    digest = json.loads(base64.urlsafe_b64decode(good + "=" * (-len(good) % 4)))[0]
    for place in (
        [["a"], 1, 1],
        [["a"], 1, 1, 0],
        [["a"], 1, 1, -5],
        [[7], 1, 1, 1],
        [[True], 1, 1, 1],
        [[], 1, 1, 1],
        [["a", "b"], 1, 1, 1],
        [["a"], "1", 1, 1],
        [["a"], 1.5, 1, 1],
        {},
        None,
    ):
        cursor = encoded([digest, place])
        answer = tasks.get(f"tasks/?sort=title&cursor={cursor}")
        # A place without a count is one that nothing was answered of before.
        assert answer.status_code == (200 if place == [["a"], 1, 1] else 400), place
    for cursor in ("", "x", "%00", "=", "a" * 4000, good[:-1], good + "AAAA", "é", encoded([])):
        assert tasks.get(f"tasks/?sort=title&cursor={cursor}").status_code == 400, cursor
    far = encoded([digest, [["zzz"], 2**200, -(2**200), 2**62]])
    assert tasks.get(f"tasks/?sort=title&cursor={far}").json()["tasks"] == []


def test_a_whole_list_is_a_join_of_what_is_kept(tasks: Caller) -> None:
    tasks.get("tasks/")
    tasks.get("tasks/?limit=5&total=true")

    records = json_storage.view("tasks", tasks.id)

    assert isinstance(records, RecordList)
    assert all(chunk.keeps_compact for chunk in records._chunks())


# Entity tags


def tag(caller: Caller, query: str = "") -> str:
    found: str = caller.get(f"tasks/?{query}")["ETag"]
    assert found.startswith('"')
    assert found.endswith('"'), "strong"
    return found


@pytest.mark.parametrize("query", ["", "limit=3", "status=pending", "sort=title&fields=id,title"])
def test_the_tag_changes_with_the_answer_and_only_then(tasks: Caller, query: str) -> None:
    first = tag(tasks, query)
    assert tag(tasks, query) == first

    json_storage.update("tasks", tasks.id, 1, {"title": "A task"})
    second = tag(tasks, query)
    json_storage.delete("tasks", tasks.id, 30)

    assert len({first, second, tag(tasks, query)}) == 3


def test_a_filtered_list_that_a_change_does_not_touch_keeps_its_tag(tasks: Caller) -> None:
    first = tag(tasks, "priority=high")
    json_storage.update("tasks", tasks.id, 1, {"title": "A task"})
    assert tag(tasks, "priority=high") == first


def test_a_page_with_another_page_behind_it_is_another_answer(alice: Caller) -> None:
    json_storage.save_task_data(alice.id, {"title": "A"})
    first = tag(alice, "limit=1&fields=id")
    json_storage.save_task_data(alice.id, {"title": "B"})
    assert tag(alice, "limit=1&fields=id") != first


def test_the_tag_tells_of_files_changed_by_hand_and_not_of_those_saved_again(
    tasks: Caller, data_folder: Path
) -> None:
    path = exact(data_folder / "tasks" / f"tasks_{tasks.id}.json")
    first, before = tag(tasks), path.read_text()

    path.write_text(before)
    assert tag(tasks) == first

    path.write_text(before.replace('"Task 0"', '"By hand"'))  # under the same revision
    assert tag(tasks) != first


_TAG_ELSEWHERE = """
import sys
from docstore import CollectionLayout, Key, open_store
store = open_store(sys.argv[1], [CollectionLayout(name="tasks", stem="tasks", records="tasks")])
print(store.records(Key("tasks", int(sys.argv[2]))).digest())
"""


def test_another_process_gives_the_same_tag_whatever_it_read(
    tasks: Caller, data_folder: Path
) -> None:
    """This process made the changes, the other reads what is pending or the file."""
    for number in range(31, 140):
        json_storage.save_task_data(tasks.id, {"title": f"ä {number}", "metadata": {"x": 1e22}})
    for number in range(1, 100, 3):
        json_storage.delete("tasks", tasks.id, number)
    json_storage.update("tasks", tasks.id, 2, {"metadata": {"b": 1.0, "a": [-0.0, 10**15]}})
    ours = tag(tasks)

    command = [sys.executable, "-c", _TAG_ELSEWHERE, data_folder.as_uri(), str(tasks.id)]
    pending = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    exact(data_folder)
    published = subprocess.run(command, capture_output=True, text=True, check=True).stdout

    assert {ours} == {f'"{theirs.strip()}"' for theirs in (pending, published)}


# Against a model

TITLES = st.sampled_from(["", "a", "B", "b ", "Ä", "ß", "ss", "zz"])
DATES = st.sampled_from([None, "2026-11-27", "2026-11-27T00:00:00Z", "2026-11-27T09:00:00+09:00"])
RECORDS = st.lists(
    st.fixed_dictionaries(
        {
            "category": TITLES,
            "due_date": DATES,
            "priority": st.sampled_from(["low", "high", "critical"]),
            "project_id": st.none() | st.integers(1, 3),
            "tags": st.lists(st.sampled_from(["x", "Y"]), max_size=2),
        }
    ),
    max_size=12,
)
SORTS = st.lists(
    st.tuples(st.sampled_from(["category", "due_date", "priority", "project_id"]), st.booleans()),
    max_size=3,
)


@hypothesis_settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(RECORDS, SORTS, st.sampled_from([None, "low", "low,critical"]), st.integers(1, 5))
def test_filters_order_and_pages_are_those_of_a_plain_model(
    alice: Caller,
    data_folder: Path,
    records: list[dict[str, Any]],
    sorts: list[tuple[str, bool]],
    priorities: str | None,
    limit: int,
) -> None:
    alice.allow(10**9)
    every = [{"id": n, **record} for n, record in enumerate(records, 1)]
    keep(data_folder, alice, every)
    expected = [r for r in every if not priorities or r["priority"] in priorities.split(",")]
    for name, backwards in reversed(sorts):  # the sort is stable, so the last key comes first
        some = [r for r in expected if model_value(r, name) is not None]
        none = [r for r in expected if model_value(r, name) is None]
        some.sort(key=lambda record, name=name: model_value(record, name), reverse=backwards)
        expected = some + none

    query = f"limit={limit}" + (f"&priority={priorities}" if priorities else "")
    if sorts:
        query += "&sort=" + ",".join(f"{'-' if back else ''}{name}" for name, back in sorts)
    found = [one for page in pages(alice, query) for one in page]

    assert found == [record["id"] for record in expected]


def model_value(record: dict[str, Any], name: str) -> Any:
    value = record[name]
    if name == "category":
        return value.casefold() or None
    if name == "priority":
        return COLLECTIONS["tasks"].by_name["priority"].choices.index(value)
    if name == "due_date" and value is not None:
        return 0  # all of them name the same moment, a date by its midnight
    return value
