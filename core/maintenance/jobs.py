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
from utils.data_initializer import DataInitializer
from utils.json_storage import JSONStorageManager
from workspace.operations import upkeep
from workspace.operations.run_reports import keep_counted, keep_validated_share
from workspace.operations.status import all_backups
from workspace.workspace import BACKUPS

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


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _backup_every() -> timedelta:
    return HOURLY if settings.NEURALFLOW_BACKUP_KEEP["hourly"] else DAILY


def _back_up(manager: JSONStorageManager, now: datetime) -> str:
    path = DataInitializer(manager).create_backup()
    return f"{path.name}, {path.stat().st_size} bytes"


def _verify_backup(manager: JSONStorageManager, now: datetime) -> str:
    """Read the newest backup completely, and every document in it."""
    backups = all_backups(manager)
    if not backups:
        raise JobFailed("there is no backup: run `manage.py maintenance backup`")
    services, name = DataInitializer(manager), backups[0].name
    files = services.check_backup(name)
    findings = services.backup_findings(services.folder / BACKUPS / name)
    if findings:
        raise JobFailed(
            f"{name} is complete, but {_count(len(findings), 'document')} in it cannot be read:"
            f" {findings[0]}. Run `manage.py setup_data --validate`"
        )
    return f"{name}: {_count(files, 'file')} read"


def _prune_backups(manager: JSONStorageManager, now: datetime) -> str:
    backups = all_backups(manager)
    old = superfluous(
        [(backup.name, backup.made_at) for backup in backups], settings.NEURALFLOW_BACKUP_KEEP
    )
    for name in old:
        (DataInitializer(manager).folder / BACKUPS / name).unlink(missing_ok=True)
    return f"{_count(len(old), 'backup')} deleted, {len(backups) - len(old)} retained"


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
    keep_validated_share(services.folder, findings, is_todays)
    if findings:
        raise JobFailed(
            f"{_count(len(findings), 'finding')}: {findings[0]}. The status page has all of them"
        )
    return f"part {today + 1} of {days}: nothing is wrong"


def _count_records(manager: JSONStorageManager, now: datetime) -> str:
    services = DataInitializer(manager)
    stats = services.get_storage_stats()
    keep_counted(services.folder, stats)
    return f"{_count(stats['total_users'], 'user')}, {stats['size_bytes']['total']} bytes"


JOBS: Final = (
    Job("checkpoint", _("Checkpoint and history"), _checkpoint),
    Job("activities", _("Trim activities"), _trim_activities),
    Job("expired", _("Remove expired data"), _remove_expired),
    Job("leftovers", _("Remove leftovers"), _remove_leftovers),
    Job("scrub", _("Check a share of the documents"), _scrub),
    Job("statistics", _("Count records"), _count_records),
    Job("backup", _("Back up"), _back_up, _backup_every),
    Job("verify", _("Verify the newest backup"), _verify_backup, _backup_every),
    Job("prune", _("Delete old backups"), _prune_backups, _backup_every),
)
