"""The maintenance page: jobs, their last runs, findings and errors, for staff only."""

from __future__ import annotations

from typing import Any

from allauth.account.decorators import reauthentication_required
from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from core.error_log import latest_errors
from core.maintenance.jobs import JOBS
from core.maintenance.runner import Runner
from docstore import Unavailable
from utils.json_storage import json_storage
from workspace.operations.finding_codes import kind_of
from workspace.operations.maintenance_history import (
    MaintenanceHistory,
    maintenance_of,
    request_job,
    requested_jobs,
)
from workspace.operations.run_reports import last_validated

_RUNS_SHOWN = 20


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def maintenance_page(request: HttpRequest) -> HttpResponse:
    """Show maintenance, or request a job. Responds 404 for users who are not staff."""
    if not getattr(request.user, "is_staff", False):
        raise Http404
    # Redirects, and repeats the request afterwards, unless the user authenticated recently.
    reauthentication_required(lambda request: None)(request)
    folder = json_storage.folder
    if request.method == "POST":
        names = [job.name for job in JOBS if job.name in request.POST.getlist("job")]
        if folder is None or not names:
            raise Http404
        for name in names:
            request_job(folder, name)
        messages.success(request, _("Requested. It starts within seconds; reload to see it."))
        return redirect("maintenance")
    return render(request, "operator/maintenance.html", _context())


def _context() -> dict[str, Any]:
    folder, history = json_storage.folder, maintenance_of(json_storage)
    validated = last_validated(folder) if folder else None
    titles = {job.name: job.title for job in JOBS}
    return {
        "jobs": _jobs(history),
        "runs": [
            (titles.get(run.job, run.job), run) for run in history.runs[: -_RUNS_SHOWN - 1 : -1]
        ],
        "findings": [(finding, *kind_of(finding)) for finding in validated.findings]
        if validated
        else [],
        "validated": validated,
        "errors": latest_errors(folder),
        "is_on": settings.NEURALFLOW_MAINTENANCE,
        "has_folder": folder is not None,
    }


def _jobs(history: MaintenanceHistory) -> list[dict[str, Any]]:
    folder = json_storage.folder
    requested = requested_jobs(folder) if folder else set()
    try:
        upcoming = Runner().upcoming()
    except Unavailable:
        upcoming = {}
    return [
        {
            "name": job.name,
            "title": job.title,
            "state": history.jobs.get(job.name),
            "next": upcoming.get(job.name),
            "is_requested": job.name in requested,
        }
        for job in JOBS
    ]
