"""The page to export and import a user's data.

An import starts with a dry run, whose report the page shows for confirmation. If the confirming
request has another archive or mode, it is a dry run again.
"""

import hashlib
from functools import partial
from typing import Any, BinaryIO, cast

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.files.uploadedfile import UploadedFile
from django.http import HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_safe

from accounts.data_forms import ImportForm
from accounts.signals import tell_store
from accounts.views import SignedInRequest
from api.views.export_import import ZIP, alone, archive_imported
from utils.json_storage import json_storage
from utils.middleware import request_metadata
from workspace.archive.exporter import MANIFEST_DIGEST
from workspace.archive.package import ImportFault, InvalidImport
from workspace.archive.zip_reader import CHUNK, ArchiveFault
from workspace.bounds import IMPORT_CALLS
from workspace.schema.validation import Record
from workspace.users.document import Activity

_TEMPLATE = "accounts/data.html"
_DONE = "import_report"  # session key, until the report was shown


@require_safe
@login_required
def export(request: SignedInRequest) -> HttpResponseBase:
    """Return an archive of everything the user owns.

    The export is recorded as an activity, but works on a full disk, too.
    """
    export = json_storage.export(request.user.pk)
    headers = {"Content-Disposition": f'attachment; filename="{export.name}"'}
    if request.method == "HEAD":
        export.close()
        return HttpResponse(content_type=ZIP, headers=headers)
    metadata = {MANIFEST_DIGEST: export.manifest_digest, **request_metadata(request)}
    tell_store(request.user.pk, Activity("account_exported", "Exported everything", metadata))
    return StreamingHttpResponse(export, content_type=ZIP, headers=headers)


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
@never_cache
def your_data(request: SignedInRequest) -> HttpResponse:
    """Show export and import, and the report of the last import."""
    if request.method == "POST":
        return _import(request)
    context = {"form": ImportForm(), "done": request.session.pop(_DONE, None)}
    return render(request, _TEMPLATE, context)


def _import(request: SignedInRequest) -> HttpResponse:
    """Run an import: a dry run unless the request confirms one of the same archive."""
    form = ImportForm(request.POST, request.FILES)
    if not form.is_valid():
        return render(request, _TEMPLATE, {"form": form}, status=422)
    judged = _seal(form.cleaned_data)
    wanted = request.POST.get("judged") == judged and "take" in request.POST
    try:
        report = _taken(request, form.cleaned_data, dry_run=not wanted)
    except ArchiveFault as fault:
        context = {"form": form, "faults": [ImportFault("", "", str(fault))]}
        return render(request, _TEMPLATE, context, status=422)
    except InvalidImport as fault:
        return render(request, _TEMPLATE, {"form": form, "faults": fault.faults}, status=422)
    if not wanted:
        other = "take" in request.POST
        context = {"form": form, "report": report, "judged": judged, "other": other}
        return render(request, _TEMPLATE, context)
    request.session[_DONE] = _shown(report)
    messages.success(request, _("The archive was imported."))
    return redirect("your_data")


def _shown(report: Record) -> Record:
    """Return the report without the new record ids, which the page does not show.

    There may be 100,000 of them, and each request would read them with the session.
    """
    collections = {
        name: {what: number for what, number in tally.items() if what != "renumbered"}
        for name, tally in report["collections"].items()
    }
    return report | {"collections": collections}


def _taken(request: SignedInRequest, asked: dict[str, Any], *, dry_run: bool) -> Record:
    """Import the archive and return the report.

    Raises `ArchiveFault`, `InvalidImport`, and `Unavailable` while another import runs.
    """
    json_storage.take_free_call(request.user.pk, IMPORT_CALLS)
    with alone():
        return json_storage.import_archive(
            request.user.pk,
            cast(BinaryIO, asked["archive"]),
            mode=asked["mode"],
            owner=asked["owner"],
            dry_run=dry_run,
            activity=partial(archive_imported, told=request_metadata(request)),
        )


def _seal(asked: dict[str, Any]) -> str:
    """Return a digest of the archive and the options of the import."""
    archive: UploadedFile[Any] = asked["archive"]
    digest = hashlib.sha256(f"{asked['mode']} {asked['owner']} ".encode())
    for piece in archive.chunks(CHUNK):
        digest.update(piece)
    archive.seek(0)
    return digest.hexdigest()
