"""The operator's page: how the place does, for those who run it, and for nobody else."""

from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from core.words import WORDS, Text
from utils.middleware import StorageRequest
from utils.operating.last_runs import Counted
from utils.operating.overview import overview
from utils.records import RECORD_COLLECTIONS


@require_safe
@login_required
def operator_page(request: StorageRequest) -> HttpResponse:
    """Everything at once, read only. For others than staff there is no such page."""
    if not getattr(request.user, "is_staff", False):
        raise Http404
    told = overview(request.json_storage)
    return render(request, "core/operator.html", {"told": told, "totals": _totals(told.counted)})


def _totals(counted: Counted | None) -> list[tuple[Text, int | None]]:
    """How many records there are of each kind, as they were last counted."""
    totals = counted.totals if counted else {}
    return [(WORDS[name].plural, totals.get(name)) for name in RECORD_COLLECTIONS]
