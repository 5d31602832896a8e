"""The operator page: the status of the installation, for staff only."""

from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from utils.middleware import StorageRequest
from web.labels import WORDS, Text
from workspace.operations.maintenance_history import maintenance_of
from workspace.operations.run_reports import Counted
from workspace.operations.status import overview
from workspace.schema.validation import RECORD_COLLECTIONS


@require_safe
@login_required
def operator_page(request: StorageRequest) -> HttpResponse:
    """Show the status. Responds 404 for users who are not staff."""
    if not getattr(request.user, "is_staff", False):
        raise Http404
    status = overview(request.json_storage)
    context = {
        "told": status,
        "totals": _totals(status.counted),
        "failing": maintenance_of(request.json_storage).failing,
    }
    return render(request, "operator/status.html", context)


def _totals(counted: Counted | None) -> list[tuple[Text, int | None]]:
    """Return the number of records by collection, as of the last count."""
    totals = counted.totals if counted else {}
    return [(WORDS[name].plural, totals.get(name)) for name in RECORD_COLLECTIONS]
