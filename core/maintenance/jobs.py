"""The table of maintenance jobs, in the order in which they run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from io import StringIO
from typing import Final

from django.conf import settings
from django.core.management import call_command
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from core.maintenance.retention import superfluous
from core.maintenance.schedule import DAILY, HOURLY
from docstore import Corrupt, NotFound
from utils.data_initializer import DataInitializer
from utils.json_storage import JSONStorageManager
from workspace.operations import upkeep
from workspace.operations.backups import dated
from workspace.operations.run_reports import keep_counted, keep_validated_share

Text = str | Promise


class JobFailed(Exception):
    """A job did its work and found a problem, which a person must solve. It is not retried."""


@dataclass(frozen=True)
class Job:
    """A job: it returns a sentence about its result, and raises an error if it failed."""

    name: str
    title: Text
    run: Callable[[JSONStorageManager, datetime], str]
    every: Callable[[], timedelta] = lambda: DAILY
    in_folders: bool = True
    in_databases: bool = False


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _backup_every() -> timedelta:
    return HOURLY if settings.NEURALFLOW_BACKUP_KEEP["hourly"] else DAILY


def _back_up(manager: JSONStorageManager, now: datetime) -> str:
    result = DataInitializer(manager).back_up()
    return f"{result.backup}, {_count(result.files, 'file')}, {result.added_bytes} bytes added"


def _verify_backup(manager: JSONStorageManager, now: datetime) -> str:
    """Restore the newest backup on trial, and check every document in it."""
    try:
        result = DataInitializer(manager).verify_backup()
    except NotFound:
        raise JobFailed("there is no backup: run `manage.py maintenance backup`") from None
    except Corrupt as fault:
        raise JobFailed(f"the newest backup is damaged: {fault}") from None
    if result.problem:
        raise JobFailed(f"{result.name} is damaged: {result.problem}")
    if result.findings:
        raise JobFailed(
            f"{result.name} is complete, but {_count(len(result.findings), 'document')} in it"
            f" cannot be read: {result.findings[0]}. Run `manage.py setup_data --validate`"
        )
    how = "restored on trial" if result.complete else "stored as written; no identity opens it"
    return f"{result.name}: {_count(result.files, 'file')}, {how}"


def _prune_backups(manager: JSONStorageManager, now: datetime) -> str:
    services = DataInitializer(manager)
    backups = dated(services.folder)
    old = superfluous(backups, settings.NEURALFLOW_BACKUP_KEEP)
    freed = services.remove_backups(old)
    left = len(backups) - len(old)
    return f"{_count(len(old), 'backup')} deleted ({freed} bytes), {left} retained"


def _checkpoint(manager: JSONStorageManager, now: datetime) -> str:
    segments, size = upkeep.checkpoint(manager)
    return f"all files durable; the journal has {_count(segments, 'segment')}, {size} bytes"


def _trim_activities(manager: JSONStorageManager, now: datetime) -> str:
    return f"{_count(upkeep.trim_activities(manager, now), 'user')} had activities to remove"


def _remove_expired(manager: JSONStorageManager, now: datetime) -> str:
    responses = upkeep.drop_expired_responses(manager, now)
    rows = call_command("remove_expired", stdout=StringIO())
    return f"removed {rows}, {_count(responses, 'stored response')}"


def _remove_leftovers(manager: JSONStorageManager, now: datetime) -> str:
    names = upkeep.remove_leftovers(manager, now, settings.NEURALFLOW_LEFTOVER_DAYS)
    return f"removed {_count(len(names), 'file')}" + (f": {', '.join(names[:5])}" if names else "")


def _scrub(manager: JSONStorageManager, now: datetime) -> str:
    """Read and check a share of the owners, so that each has its turn within the set days."""
    days = settings.NEURALFLOW_SCRUB_DAYS
    if not days:
        return "switched off by NEURALFLOW_SCRUB_DAYS"
    today = now.toordinal() % days

    def is_todays(owner: int) -> bool:
        return owner % days == today

    services = DataInitializer(manager)
    findings = services.validate_data_integrity(wanted=is_todays)
    keep_validated_share(manager.folder, findings, is_todays)
    if findings:
        raise JobFailed(
            f"{_count(len(findings), 'finding')}: {findings[0]}. The status page has all of them"
        )
    return f"part {today + 1} of {days}: nothing is wrong"


def _count_records(manager: JSONStorageManager, now: datetime) -> str:
    services = DataInitializer(manager)
    stats = services.get_storage_stats()
    keep_counted(manager.folder, stats)
    return f"{_count(stats['total_users'], 'user')}, {stats['size_bytes']['total']} bytes"


JOBS: Final = (
    Job("checkpoint", _("Checkpoint and history"), _checkpoint),
    Job("activities", _("Trim activities"), _trim_activities, in_databases=True),
    Job("expired", _("Remove expired data"), _remove_expired, in_databases=True),
    Job("leftovers", _("Remove leftovers"), _remove_leftovers),
    Job("scrub", _("Check a share of the documents"), _scrub, in_databases=True),
    Job("statistics", _("Count records"), _count_records, in_databases=True),
    Job("backup", _("Back up"), _back_up, _backup_every),
    Job("verify", _("Verify the newest backup"), _verify_backup, _backup_every),
    Job("prune", _("Delete old backups"), _prune_backups, _backup_every),
)
