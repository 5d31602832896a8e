"""The report of `/healthz`: checks, figures, and problems with their remedies."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final

from core.health.readiness import Readiness
from docstore import format_utc
from utils.json_storage import JSONStorageManager
from workspace.operations.maintenance_history import MaintenanceHistory, maintenance_of
from workspace.operations.status import Overview, overview

Report = dict[str, Any]


def _version() -> str:
    try:
        return version("neuralflow")
    except PackageNotFoundError:  # a checkout that was not installed
        return "unknown"


VERSION: Final = _version()


def health(manager: JSONStorageManager, ready: Readiness) -> Report:
    """Return the report. `status` is "ok", "degraded" or "failing" (not ready)."""
    status, now = overview(manager), manager.clock()
    history = maintenance_of(manager)
    problems = [*_problems(status, ready), *_failures(history)]
    is_ok = "degraded" if problems else "ok"
    return {
        "status": is_ok if ready.is_ready else "failing",
        "version": VERSION,
        "time": format_utc(now),
        "checks": {
            check.name: {"ok": not check.problem, "problem": check.problem}
            for check in ready.checks
        },
        "store": _store(status),
        "disk": {"free_bytes": ready.free},
        "backups": _backups(status, now),
        "validated": _validated(status),
        "maintenance": _maintenance(history),
        "accounts": {"count": status.people, "unsynced": status.unsynced},
        "problems": problems,
    }


def _problems(status: Overview, ready: Readiness) -> list[Report]:
    problems = [
        _problem(check.name, check.problem, "See docs/monitoring.md.")
        for check in ready.checks
        if check.problem
    ]
    if status.unsynced:
        text = f"{status.unsynced} accounts have changes that are not in the store"
        problems.append(_problem("accounts", text, "Run manage.py setup_data --sync-users."))
    if status.validated and status.validated.found:
        text = f"the last validation found {status.validated.found} problems"
        problems.append(_problem("findings", text, "Run manage.py setup_data --validate."))
    return problems


def _failures(history: MaintenanceHistory) -> Iterator[Report]:
    for name, state in history.failing.items():
        text = f"the job {name} failed {state.failures} times in a row: {state.result}"
        remedy = f"Run manage.py maintenance {name}; see docs/maintenance.md."
        yield _problem(f"maintenance.{name}", text, remedy)


def _maintenance(history: MaintenanceHistory) -> Report:
    return {
        name: {
            "finished_at": format_utc(state.finished_at) if state.finished_at else None,
            "succeeded_at": format_utc(state.succeeded_at) if state.succeeded_at else None,
            "failures": state.failures,
            "result": state.result,
        }
        for name, state in history.jobs.items()
    }


def _problem(name: str, text: str, remedy: str) -> Report:
    return {"name": name, "problem": text, "remedy": remedy}


def _store(status: Overview) -> Report | None:
    condition = status.condition
    if condition is None:
        return None
    return {
        "writable": not condition.refusal,
        "journal_bytes": condition.journal_bytes,
        "journal_segments": condition.segments,
        "frames_since_checkpoint": condition.since_checkpoint,
        "documents_behind": condition.waiting,
        "seconds_behind": round(condition.behind, 3),
    }


def _backups(status: Overview, now: datetime) -> Report:
    verified = status.verified
    result: Report = {
        "count": len(status.backups) + status.older,
        "newest": None,
        "verified": verified
        and {
            "name": verified.sound or None,
            "at": verified.sound_at or None,
            "problem": verified.problem or None,
        },
    }
    if not status.backups:
        return result
    newest = status.backups[0]
    return result | {
        "newest": {
            "name": newest.name,
            "made_at": format_utc(newest.made_at),
            "age_seconds": round((now - newest.made_at).total_seconds()),
            "size_bytes": newest.size,
        },
    }


def _validated(status: Overview) -> Report | None:
    if status.validated is None:
        return None
    return {"at": status.validated.at, "findings": status.validated.found}
