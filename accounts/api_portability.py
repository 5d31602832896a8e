"""Everything in one archive, out and in: `export/` and `import/`.

An archive that comes in is kept in a temporary file, and judged there: see utils/package.py.
"""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, BinaryIO

from django.conf import settings
from django.http import FileResponse, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase

from accounts.api_calls import call_metadata, read
from accounts.api_http import (
    ApiRequest,
    check_media_type,
    content_length,
    endpoint,
    json_response,
)
from accounts.api_operations import (
    WITH_BODY,
    Answer,
    Operation,
    Parameter,
    answers,
    ref,
)
from accounts.api_problems import BadParameter, IncompleteBody
from docstore import Unavailable
from docstore.errors import from_os_error
from utils.archives import CHUNK, MIB
from utils.exporting import EXPORTED, Export
from utils.importing import Mode
from utils.json_storage import Activity
from utils.middleware import request_metadata
from utils.records import Record

ZIP = "application/zip"
_BINARY = {"type": "string", "contentMediaType": ZIP}
_MODES: dict[str, Mode] = {"merge": "merge", "replace": "replace"}
_WAIT = 10  # seconds, while another import is judged

# Judging takes a processor for as long as it takes; of several at once none would be faster.
_one_import = threading.BoundedSemaphore()


def _export(request: ApiRequest) -> HttpResponseBase:
    export = read(request, partial(_opened, request))
    headers = {"Content-Disposition": f'attachment; filename="{export.name}"'}
    if request.method == "HEAD":
        export.close()
        return HttpResponse(content_type=ZIP, headers=headers)
    response = StreamingHttpResponse(export, content_type=ZIP, headers=headers)
    response._resource_closers.append(export.close)  # type: ignore[attr-defined]
    return response


def _opened(request: ApiRequest) -> Export:
    """The archive, ready to be read. What it holds is noted: a receipt of deletion tells of it."""
    user_id = request.user.pk
    export = request.json_storage.export(user_id)
    try:
        told = {"manifest_sha256": export.manifest_digest}
        metadata = told | call_metadata(request) | request_metadata(request)
        activity = Activity(EXPORTED, "Took everything along in one archive", metadata)
    except BaseException:
        export.close()
        raise
    return export
