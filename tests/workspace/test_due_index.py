"""The order in which tasks are due, and which of them by when, beside the plain rule for each."""

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from docstore import RecordList
from workspace.tasks.due_index import most_urgent, overdue, undated
from workspace.tasks.statistics import count_overdue, due_moment, is_overdue

ZONES = ["UTC", "Europe/Madrid", "America/Lima", "Pacific/Kiritimati", "Pacific/Pago_Pago"]
DUES = [
    None,
    "",
    "soon",
    7,
    "2026-11-22",
    "2026-11-23",
    "2026-11-24",
    "2026-11-30",
    "2026-12-24",
    "0001-01-01",
    "9999-12-31",
    "2026-11-23T11:59:59Z",
    "2026-11-23T12:00:00Z",
    "2026-11-23T12:00:01Z",
    "2026-11-23T23:30:00-05:00",
    "9999-12-31T23:59:59Z",
]
TASKS = st.lists(
    st.fixed_dictionaries(
        {
            "due_date": st.sampled_from(DUES),
            "status": st.sampled_from(["pending", "completed", "review", None]),
            "priority": st.sampled_from(["low", "critical", None, 3]),
        }
    ),
    max_size=80,
)


def numbered(tasks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [task | {"id": number} for number, task in enumerate(tasks, 1)]


@given(TASKS, st.sampled_from(ZONES))
def test_due_index_matches_predicates(tasks: list[dict[str, Any]], zone: str) -> None:
    tasks = numbered(tasks)
    now = datetime(2026, 11, 23, 12, tzinfo=UTC).astimezone(ZoneInfo(zone))
    late = overdue(RecordList(tasks), now)
    assert len(late) == sum(is_overdue(task, now) for task in tasks) == count_overdue(tasks, now)
    assert all(is_overdue(task, now) for task in late.first(100))
    soon = late.next_until(now + timedelta(days=7))
    ends = [due_moment(task, now.tzinfo) for task in soon.first(100)]
    assert all(end is not None and now < end <= now + timedelta(days=7) for end in ends)
    without = undated(tasks, now)
    open_ones = [task for task in tasks if task["status"] != "completed"]
    assert len(late) + len(soon) + len(soon.all_next()) + len(without) == len(open_ones)
    ordered = most_urgent(tasks, now, 100)
    assert sorted(task["id"] for task in ordered) == [task["id"] for task in open_ones]
    assert [task["id"] for task in late.first(3)] == [task["id"] for task in ordered[: len(late)]][
        :3
    ]


def test_overdue_count_follows_list_version() -> None:
    tasks = RecordList([{"id": 1, "due_date": "2026-11-22", "status": "pending"}])
    now = datetime(2026, 11, 23, 12, tzinfo=UTC)
    assert count_overdue(tasks, now) == count_overdue(tasks, now) == 1
    assert count_overdue(tasks.append({"id": 2, "due_date": "2026-11-01"}), now) == 2
    assert count_overdue(tasks.remove(1), now) == 0
    done = tasks.replace({"id": 1, "due_date": "2026-11-22", "status": "completed"})
    assert (count_overdue(done, now), count_overdue(tasks, now)) == (0, 1)


@pytest.mark.parametrize(("hours", "late"), [(0, 0), (11, 0), (12, 1)])
def test_the_day_is_asked_for_with_each_page(hours: int, late: int) -> None:
    tasks = RecordList([{"id": 1, "due_date": "2026-11-23"}])
    now = datetime(2026, 11, 23, 12, tzinfo=UTC) + timedelta(hours=hours)
    assert count_overdue(tasks, now) == late
