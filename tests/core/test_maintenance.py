"""Maintenance by itself: when jobs are due, what they do, and two weeks alone."""

from __future__ import annotations

import json
import logging
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta, timezone
from pathlib import Path

import pytest
from django.contrib.sessions.models import Session
from django.core.management import CommandError, call_command
from pytest_django.fixtures import Settings

from accounts.models import ApiToken, FailedAttempts, User
from accounts.tokens import create_token
from core.maintenance.jobs import JOBS, Job, JobFailed
from core.maintenance.retention import superfluous
from core.maintenance.runner import AlreadyRunning, Runner, locked
from core.maintenance.schedule import DAILY, HOURLY, is_due, next_start, retry_pause
from core.maintenance.scheduler import Scheduler
from docstore import Corrupt
from utils.data_initializer import data_initializer
from utils.json_storage import JSONStorageManager, json_storage
from workspace.documents import key_of
from workspace.idempotency import IdempotencyKey
from workspace.operations.maintenance_history import JobState, read_history
from workspace.operations.run_reports import last_counted, last_validated
from workspace.operations.status import all_backups

AT = time(3, 30)
NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)


@dataclass
class Clock:
    """A clock that moves only when it is told to."""

    now: datetime = NOON

    def __call__(self) -> datetime:
        return self.now

    def pass_by(self, **units: float) -> None:
        self.now += timedelta(**units)


# The schedule


def _is_due(state: JobState, now: datetime, zone: timezone = UTC) -> bool:
    return is_due(state, now, DAILY, AT, zone)


def test_new_job_waits_for_its_time_of_day() -> None:
    state = JobState(seen_at=NOON)
    assert not _is_due(state, NOON + timedelta(hours=15, minutes=29))
    assert _is_due(state, NOON + timedelta(hours=15, minutes=30))


def test_daily_job_runs_once_a_day_and_catches_up_after_downtime() -> None:
    state = JobState(seen_at=NOON, started_at=NOON.replace(hour=3, minute=31))
    assert not _is_due(state, NOON)
    assert not _is_due(state, NOON.replace(hour=23, minute=59))
    assert _is_due(state, NOON + timedelta(days=1))  # it was off at half past three
    assert _is_due(state, NOON + timedelta(days=40))


def test_time_of_day_is_that_of_the_zone() -> None:
    state, tokyo = JobState(seen_at=NOON), timezone(timedelta(hours=9))
    assert not _is_due(state, NOON + timedelta(hours=6, minutes=29), tokyo)
    assert _is_due(state, NOON + timedelta(hours=6, minutes=30), tokyo)


def test_hourly_job_runs_each_hour() -> None:
    state = JobState(seen_at=NOON, started_at=NOON.replace(minute=31))
    assert not is_due(state, NOON.replace(hour=13, minute=29), HOURLY, AT, UTC)
    assert is_due(state, NOON.replace(hour=13, minute=30), HOURLY, AT, UTC)


def test_failed_job_runs_again_after_growing_pauses() -> None:
    pauses = [retry_pause(failures) for failures in range(1, 2000)]
    assert pauses[:3] == [timedelta(minutes=minutes) for minutes in (5, 15, 45)]
    assert pauses == sorted(pauses) and pauses[-1] == timedelta(hours=6)
    state = JobState(seen_at=NOON, started_at=NOON, finished_at=NOON, failures=2)
    assert not _is_due(state, NOON + timedelta(minutes=14))
    assert _is_due(state, NOON + timedelta(minutes=15))
    assert next_start(state, NOON, DAILY, AT, UTC) == NOON + timedelta(minutes=15)


def test_clock_that_was_set_back_does_not_stop_a_job() -> None:
    state = JobState(seen_at=NOON, started_at=NOON + timedelta(days=400))
    assert _is_due(state, NOON)


# Retention of backups


def _daily(days: int) -> list[tuple[str, datetime]]:
    return [(f"{day:03d}", NOON + timedelta(days=day)) for day in range(days)]


def _retained(backups: list[tuple[str, datetime]], **keep: int) -> list[str]:
    old = superfluous(backups, keep)
    return [name for name, _moment in backups if name not in old]


def test_retention_keeps_latest_days_weeks_and_months() -> None:
    # NOON is a Monday; 13 July, day 70, too.
    assert _retained(_daily(71), daily=3, weekly=2, monthly=3) == [
        "027",
        "057",
        "068",
        "069",
        "070",
    ]


def test_retention_counts_periods_that_have_backups() -> None:
    backups = [("old", NOON - timedelta(days=900)), ("new", NOON)]
    assert _retained(backups, daily=2) == ["old", "new"]
    assert _retained(backups, daily=1) == ["new"]


def test_retention_without_rules_deletes_nothing_and_never_the_newest() -> None:
    backups = _daily(5)
    assert _retained(backups, daily=0) == [name for name, _moment in backups]
    assert _retained([("a", NOON), ("b", NOON)], hourly=1) == ["b"]


# The runner


@dataclass
class Fake:
    """A job that does what its results say, one a run."""

    results: list[str | Exception]
    ran: list[datetime] = field(default_factory=list)

    def __call__(self, manager: JSONStorageManager, now: datetime) -> str:
        self.ran.append(now)
        result = self.results.pop(0) if self.results else "done"
        if isinstance(result, Exception):
            raise result
        return result


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def runner_of(clock: Clock) -> Callable[..., Runner]:
    json_storage.store.sequence()  # lays the folder out

    def make(*jobs: Job) -> Runner:
        return Runner(json_storage, jobs=jobs, clock=clock, zone=UTC, at=AT)

    return make


def test_failing_job_is_logged_loudly_and_tried_again_and_others_run(
    runner_of: Callable[..., Runner], clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    bad = Fake([OSError("no disk"), Corrupt("tasks/tasks_1.json", "is torn"), ZeroDivisionError()])
    good = Fake([])
    runner = runner_of(Job("bad", "Bad", bad), Job("good", "Good", good))
    assert runner.due() == []
    clock.pass_by(days=1)
    assert [run.is_ok for run in runner.run_due()] == [False, True]
    assert runner.run_due() == []
    clock.pass_by(minutes=5)
    assert [run.job for run in runner.run_due()] == ["bad"]
    clock.pass_by(minutes=15)
    assert not runner.run_due()[0].is_ok
    state = read_history(json_storage.folder).jobs["bad"]
    assert state.failures == 3
    errors = [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]
    assert "Maintenance: bad failed (1 in a row, again in 5 min): no disk" in errors
    clock.pass_by(minutes=45)
    assert runner.run_due()[0].is_ok
    assert read_history(json_storage.folder).failing == {}
    assert len(good.ran) == 1


def test_finding_is_a_failure_that_waits_for_the_next_night(
    runner_of: Callable[..., Runner], clock: Clock
) -> None:
    runner = runner_of(Job("scrub", "Scrub", Fake([JobFailed("1 finding")])))
    assert not runner.run(["scrub"])[0].is_ok
    clock.pass_by(hours=6)
    assert runner.due() == []
    clock.pass_by(hours=10)
    assert runner.due() == ["scrub"]


def test_second_process_does_not_run_maintenance_meanwhile(
    runner_of: Callable[..., Runner],
) -> None:
    runner = runner_of(Job("a", "A", Fake([])))
    with locked(runner.folder), pytest.raises(AlreadyRunning, match="is running already"):
        runner.run(["a"])
    assert runner.run(["a"])[0].is_ok


def test_damaged_history_is_begun_again(runner_of: Callable[..., Runner], clock: Clock) -> None:
    runner = runner_of(Job("a", "A", Fake([])))
    runner.run(["a"])
    (runner.folder / ".neuralflow/maintenance.json").write_text("{")
    assert runner.due() == []
    clock.pass_by(days=1)
    assert runner.due() == ["a"]


# The jobs


@pytest.mark.django_db
def test_two_weeks_alone(
    alice: User, settings: Settings, monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:
    """Nobody does anything for two weeks but a user who saves a task a day."""
    # The files' times are real. Beginning on a Wednesday, the weekly backups are the same each run.
    today = datetime.now(UTC).replace(hour=12, minute=0)
    clock.now = today + timedelta(days=(2 - today.weekday()) % 7)
    start = clock.now
    monkeypatch.setattr(json_storage, "clock", clock)
    settings.NEURALFLOW_BACKUP_KEEP = {"hourly": 0, "daily": 3, "weekly": 2, "monthly": 0}
    settings.NEURALFLOW_ACTIVITY_DAYS = 5
    settings.NEURALFLOW_LEFTOVER_DAYS = 10
    settings.NEURALFLOW_HISTORY_DAYS = 6
    once = IdempotencyKey("a-key-of-alice", "x")
    task = json_storage.create("tasks", alice.pk, {"title": "Train"}, once=once)
    json_storage.store.backend.publish()
    folder = json_storage.folder
    assert folder is not None
    aside = folder / "tasks" / f"tasks_{alice.pk}.set-aside-2026-01-01T00-00-00.000000Z.json"
    aside.write_text("{}")
    torn = folder / ".neuralflow/journal/torn-0000000000000001-77.bin"
    torn.write_bytes(b"x")
    create_token(alice, lifetime=timedelta(hours=1))
    ApiToken.objects.update(expires_at=start - timedelta(days=80))
    Session.objects.create(session_key="a" * 32, session_data="", expire_date=start)
    FailedAttempts.objects.create(key="a" * 64, until=start)
    runner = Runner(json_storage, clock=clock, zone=UTC, at=AT)
    runs, verified = [], set()
    for hour in range(14 * 24):
        if hour % 24 == 0:
            json_storage.update("tasks", alice.pk, task["id"], {"title": f"Train {hour}"})
            json_storage.update_user_activity(alice.pk, "task_updated", f"{hour}")
        clock.pass_by(hours=1)
        runs += runner.run_due()
        if backups := all_backups(json_storage):
            verified.add(backups[0].name)
    failed = [run for run in runs if not run.is_ok]  # the version set aside and the torn tail
    assert {run.job for run in failed} == {"scrub"}
    assert max(run.started_at for run in failed) < start + timedelta(days=10)
    assert {run.job for run in runs} == {job.name for job in JOBS}
    assert len(verified) == 14 and sum(run.job == "verify" for run in runs) == 14
    ages = [(clock.now - backup.made_at).days for backup in all_backups(json_storage)]
    assert ages == [0, 1, 2, 3]  # Wednesday to Monday, and the last one of the week before
    activities = json_storage.activities(alice.pk, 1000)
    assert activities and all(
        datetime.fromisoformat(activity["timestamp"]) > clock.now - timedelta(days=6)
        for activity in activities
    )
    assert not aside.exists() and not torn.exists()
    assert not json_storage.store.records(key_of("requests", alice.pk))
    assert not Session.objects.exists() and not FailedAttempts.objects.exists()
    assert not ApiToken.objects.exists()
    counted, validated = last_counted(folder), last_validated(folder)
    assert counted is not None and counted.totals["tasks"] == 1
    assert validated is not None and validated.found == 0
    shares = {run.started_at.toordinal() % 7 for run in runs if run.job == "scrub"}
    assert len(shares) == 7  # every share had its turn


@pytest.mark.django_db
def test_scrub_keeps_findings_of_other_days_and_drops_healed_ones(
    alice: User, settings: Settings, clock: Clock
) -> None:
    settings.NEURALFLOW_SCRUB_DAYS = 2
    json_storage.create("tasks", alice.pk, {"title": "Train"})
    json_storage.store.backend.publish()
    data_initializer.initialize_data_structure()
    folder = json_storage.folder
    assert folder is not None
    path = folder / "tasks" / f"tasks_{alice.pk}.json"
    good = path.read_bytes()
    path.write_bytes(good[:-9])
    runner = Runner(json_storage, clock=clock, zone=UTC, at=AT)
    found = []
    for content in (None, None, good, good):
        if content is not None:
            path.write_bytes(content)
        runner.run(["scrub"])
        validated = last_validated(folder)
        assert validated is not None
        found.append(validated.found)
        clock.pass_by(days=1)
    assert found[1] == 1 and found[3] == 0


@pytest.mark.django_db
def test_backup_that_is_damaged_fails_its_verification(alice: User, clock: Clock) -> None:
    runner = Runner(json_storage, clock=clock, zone=UTC, at=AT)
    runner.run(["backup"])
    (backup,) = all_backups(json_storage)
    path = max((runner.folder / "backups").glob("packs/*/*"), key=lambda path: path.stat().st_size)
    data = bytearray(path.read_bytes())
    data[len(data) // 3] ^= 0xFF
    path.write_bytes(data)
    (run,) = runner.run(["verify"])
    assert not run.is_ok and f"{backup.name} is damaged: packs/" in run.result


# The command, and the server's part


@pytest.mark.django_db
def test_command_runs_named_jobs_and_shows_when_each_runs(
    alice: User, capsys: pytest.CaptureFixture[str]
) -> None:
    call_command("maintenance", "statistics")
    assert "statistics: done in" in capsys.readouterr().out
    call_command("maintenance")
    out = capsys.readouterr().out
    assert "statistics: done 20" in out and "backup: never ran; next" in out
    call_command("maintenance", "--json", "checkpoint")
    assert json.loads(capsys.readouterr().out)["runs"][0]["is_ok"]
    with pytest.raises(CommandError, match="no job 'sleep'") as caught:
        call_command("maintenance", "sleep")
    assert caught.value.returncode == 2
    with pytest.raises(CommandError, match="Failed: verify") as caught:
        call_command("maintenance", "verify")
    assert caught.value.returncode == 1


def test_scheduler_starts_one_process_when_a_job_is_due_and_stops_it(
    runner_of: Callable[..., Runner], clock: Clock, tmp_path: Path
) -> None:
    moments = iter(range(0, 1_000_000, 60))
    command = ["sh", "-c", f"echo run >> {tmp_path}/ran; cat"]
    first, second = (
        Scheduler(
            runner_of(Job("a", "A", Fake([]))), command=command, clock=lambda: float(next(moments))
        )
        for _ in range(2)
    )
    first.tick()
    assert first._process is None
    clock.pass_by(days=1)
    first.tick()
    second.tick()
    first.tick()
    process = first._process
    assert isinstance(process, subprocess.Popen) and process.poll() is None
    assert second._process is None
    first.stop()
    assert process.poll() is not None
    second.tick()  # the other worker takes over
    assert second._process is not None
    second.stop()
