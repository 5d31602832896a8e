"""The dashboard page."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, cast

from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_safe

from utils.middleware import StorageRequest
from web.assigned_tasks import Assigned, assigned_to
from web.dashboard.steps import steps_of
from web.dashboard.summary import PANEL_RECORDS, summary
from web.localization import preferences_of
from web.panels import sequence_now
from web.presenters import RecordRow
from workspace.operations.status import latest_backup

# The page warns if the latest backup is older than this.
BACKUP_AGE: Final = timedelta(days=7)


@dataclass(frozen=True)
class _Assigned:
    """Tasks assigned by others: the most urgent, and the number of further ones."""

    rows: list[RecordRow]
    more: int
    is_whole: bool

    @classmethod
    def of(cls, assigned: Assigned, now: datetime) -> "_Assigned":
        tasks = assigned.given
        rows = [item.row(now) for item in tasks[:PANEL_RECORDS]]
        return cls(rows, len(tasks) - len(rows), assigned.is_whole)


@require_safe
@login_required
def dashboard(request: StorageRequest) -> HttpResponse:
    """Show the dashboard. An unreadable document only affects its own panels."""
    now, owner = timezone.localtime(), cast(int, request.user.pk)
    first_weekday = preferences_of(request).first_weekday
    sequence = sequence_now(request)
    figures = summary(request.json_storage, owner, now, first_weekday=first_weekday)
    context = {
        "summary": figures,
        "assigned": _Assigned.of(assigned_to(request.json_storage, owner, now), now),
        "now": now,
        "sequence": sequence,
        "steps": steps_of(figures),
    } | _backup(request, now)
    return render(request, "dashboard/dashboard.html", context)


def _backup(request: StorageRequest, now: datetime) -> dict[str, Any]:
    """Return, for staff only, the latest backup and whether it is too old."""
    if not getattr(request.user, "is_staff", False):
        return {}
    backup = latest_backup(request.json_storage)
    late = backup is None or now - backup.made_at > BACKUP_AGE
    return {"backup": backup, "backup_late": late}
