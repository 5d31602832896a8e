"""The dashboard: what is to be done today, and how everything else comes along."""

from datetime import datetime, timedelta
from typing import Any, Final, cast

from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_safe

from core.dashboard.summary import sequence_now, summary
from core.first_steps import steps_of
from utils.middleware import StorageRequest
from utils.operating.overview import latest_backup
from utils.people.localization import preferences_of

# A backup that is older than this is told as a warning.
BACKUP_AGE: Final = timedelta(days=7)


@require_safe
@login_required
def dashboard(request: StorageRequest) -> HttpResponse:
    """A document that cannot be read costs its own panels, not the page."""
    now, owner = timezone.localtime(), cast(int, request.user.pk)
    sunday_first = preferences_of(request).week_start == "sunday"
    sequence = sequence_now(request)
    figures = summary(request.json_storage, owner, now, sunday_first=sunday_first)
    context = {
        "summary": figures,
        "now": now,
        "sequence": sequence,
        "steps": steps_of(figures),
    } | _backup(request, now)
    return render(request, "core/dashboard.html", context)


def _backup(request: StorageRequest, now: datetime) -> dict[str, Any]:
    """For staff, when the last backup was made, and whether that is too long ago."""
    if not getattr(request.user, "is_staff", False):
        return {}
    backup = latest_backup(request.json_storage)
    late = backup is None or now - backup.made_at > BACKUP_AGE
    return {"backup": backup, "backup_late": late}
