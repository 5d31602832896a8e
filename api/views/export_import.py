"""Export and import of all data: `export/` and `import/`.

An uploaded archive is stored in a temporary file and validated there: see
workspace/archive/package.py.
"""

from __future__ import annotations

import re
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any, BinaryIO, TypeVar, cast

from django.conf import settings
from django.http import HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase

from api.endpoint import endpoint
from api.metering import call_metadata, fetch_and_log, metered_read
from api.operation import WITH_BODY, Answer, Operation, Parameter, answers, ref
from api.parsing import check_media_type, content_length
from api.problems import BadParameter, IncompleteBody
from api.request import ApiRequest
from api.responses import json_response
from docstore import Unavailable
from docstore.errors import from_os_error
from utils.middleware import request_metadata
from workspace.archive.exporter import MANIFEST_DIGEST, Export
from workspace.archive.importer import Mode
from workspace.archive.zip_reader import CHUNK, MIB
from workspace.bounds import IMPORT_CALLS
from workspace.schema.validation import Record
from workspace.users.document import Activity

ZIP = "application/zip"
_BINARY = {"type": "string", "contentMediaType": ZIP}
_MODES: dict[str, Mode] = {"merge": "merge", "replace": "replace"}
_WAIT = 10  # seconds to wait for another import
_WAITING_MAX = 1  # threads that may wait for it; the others stay free for other requests

# Imports are bound by the processor, so concurrent ones would only use more memory.
_one_import = threading.BoundedSemaphore()
_places = threading.BoundedSemaphore(1 + _WAITING_MAX)


def _export(request: ApiRequest) -> HttpResponseBase:
    make = partial(request.json_storage.export, request.caller.user_id)
    looks_only = request.method == "HEAD"
    export = (
        metered_read(request, make)
        if looks_only
        else fetch_and_log(request, make, partial(_exported, request))
    )
    headers = {"Content-Disposition": f'attachment; filename="{export.name}"'}
    if looks_only:
        export.close()
        return HttpResponse(content_type=ZIP, headers=headers)
    return StreamingHttpResponse(export, content_type=ZIP, headers=headers)


def _exported(request: ApiRequest, export: Export) -> Activity:
    """Return the activity of an export. The receipt of a deleted account repeats its digest."""
    metadata = {MANIFEST_DIGEST: export.manifest_digest}
    metadata |= call_metadata(request) | request_metadata(request)
    return Activity("account_exported", "Exported everything", metadata)


def _import(request: ApiRequest) -> HttpResponse:
    mode = _chosen(request, "mode", _MODES, "merge")
    dry_run = _chosen(request, "dry_run", {"true": True, "false": False}, "false")
    owner = _owner(request)
    request.json_storage.take_free_call(request.caller.user_id, IMPORT_CALLS)
    with _uploaded(request) as file, alone():
        take = partial(
            request.json_storage.import_archive,
            request.caller.user_id,
            file,
            mode=mode,
            owner=owner,
            caller=request.caller,
        )
        if dry_run:
            return json_response(
                metered_read(request, partial(take, dry_run=True)) | {"dry_run": True}
            )
        report = take(activity=partial(_imported, request), metered=True)
    return json_response(report | {"dry_run": False})


def _imported(request: ApiRequest, report: Record) -> Activity:
    return archive_imported(report, told=call_metadata(request) | request_metadata(request))


def archive_imported(report: Record, *, told: Mapping[str, Any]) -> Activity:
    """Return the activity of an import, by page or API."""
    counts = {
        name: {what: tally[what] for what in ("added", "changed", "removed")}
        for name, tally in report["collections"].items()
    }
    metadata = {"mode": report["mode"], "records": counts, **told}
    return Activity("account_imported", "Took in an archive", metadata)


Choice = TypeVar("Choice")


def _chosen(request: ApiRequest, name: str, choices: Mapping[str, Choice], default: str) -> Choice:
    text = request.GET.get(name, default)
    if text not in choices:
        raise BadParameter(f"{name} must be one of {', '.join(choices)}.")
    return choices[text]


def _owner(request: ApiRequest) -> int | None:
    text = request.GET.get("owner")
    if text is None:
        return None
    if not re.fullmatch("[1-9][0-9]{0,17}", text, re.ASCII):
        raise BadParameter("owner must be the number in the names of the files, such as 7.")
    return int(text)


@contextmanager
def _uploaded(request: ApiRequest) -> Iterator[BinaryIO]:
    """Store the body in a temporary file, with only a chunk of it in memory."""
    check_media_type(request)
    left = content_length(request, settings.NEURALFLOW_IMPORT_BYTES)
    with tempfile.SpooledTemporaryFile(max_size=MIB) as file:
        while left:
            piece = request.read(min(CHUNK, left))
            if not piece:
                raise IncompleteBody(f"{left} bytes are missing. Send the body again.")
            left -= len(piece)
            try:
                file.write(piece)
            except OSError as error:
                raise from_os_error(error, "cannot keep the archive while it is read") from error
        yield cast(BinaryIO, file)


@contextmanager
def alone() -> Iterator[None]:
    """Permit one import at a time in this process.

    Raises `Unavailable` after `_WAIT` seconds, or at once if another import already waits.
    """
    if not _places.acquire(blocking=False):
        raise _import_goes_on()
    try:
        if not _one_import.acquire(timeout=_WAIT):
            raise _import_goes_on()
        try:
            yield
        finally:
            _one_import.release()
    finally:
        _places.release()


def _import_goes_on() -> Unavailable:
    return Unavailable("another archive is being taken in", retry_after=_WAIT)


export_view = endpoint(
    GET=Operation(
        _export,
        "Everything you own, in one archive",
        answers({200: Answer("The archive", _BINARY, ("Content-Disposition",), ZIP)}, (507,)),
        writes=False,
        description="Your files as they are at one moment, and `manifest.json` with their digests.",
    )
)

import_view = endpoint(
    POST=Operation(
        _import,
        "Take in the records of an archive",
        answers({200: Answer("What was done, or would be", ref("ImportReport"))}, WITH_BODY),
        parameters=(
            Parameter(
                "mode",
                "`merge` adds, and keeps the newer of two; `replace` makes yours what is in it.",
                {"enum": list(_MODES), "default": "merge"},
            ),
            Parameter(
                "dry_run",
                "With `true`, nothing is changed: the answer tells what would be.",
                {"enum": ["true", "false"], "default": "false"},
            ),
            Parameter(
                "owner",
                "Whose files to take, where the archive has those of several people.",
                {"type": "integer", "minimum": 1, "maximum": 10**18 - 1},
            ),
        ),
        bodies={ZIP: _BINARY},
        description="What `export/` answered, a backup, or a NeuralFlow folder as a zip archive. "
        "All of it is taken in by one commit, or nothing.",
    )
)
