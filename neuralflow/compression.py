"""Pages travel compressed: a list of fifty tasks is a tenth of its size then."""

import gzip
import re
import secrets
from collections.abc import Callable
from io import BytesIO
from typing import Final

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.utils.cache import patch_vary_headers

WORTH_BYTES: Final = 200  # less would hardly become shorter
LEVEL: Final = 1  # a third of the time of the usual 6, for a page a quarter longer
NOISE_BYTES: Final = 100
_TAKES_GZIP: Final = re.compile(r"(^|,)\s*gzip\s*(;\s*q=(0\.\d*[1-9]\d*|1(\.0*)?)\s*)?(,|$)")


class PagesGZipMiddleware:
    """Compresses pages, and nothing else: a stream of events must not wait until there is enough
    of it, and calls of programs are answered sooner as they are.

    What an attacker could have repeated on a page beside a secret could be guessed from the length
    (BREACH, 2013). So up to 100 bytes of noise are added to each answer; Django masks the token
    against forgery anew each time; an API token or a recovery code is shown once.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response = self.get_response(request)
        if isinstance(response, HttpResponse) and _is_worth_it(response):
            patch_vary_headers(response, ("Accept-Encoding",))
            if _TAKES_GZIP.search(request.headers.get("Accept-Encoding", "").lower()):
                response.content = _compressed(response.content)
                response.headers["Content-Encoding"] = "gzip"
                response.headers["Content-Length"] = str(len(response.content))
        return response


def _is_worth_it(response: HttpResponse) -> bool:
    is_page = response.headers.get("Content-Type", "").startswith("text/html")
    is_new = not response.has_header("Content-Encoding")
    return is_page and is_new and len(response.content) >= WORTH_BYTES


def _compressed(content: bytes) -> bytes:
    """The content as gzip (RFC 1952), with a file name of some random length in its head."""
    written = BytesIO()
    noise = "n" * secrets.randbelow(NOISE_BYTES + 1)
    with gzip.GzipFile(noise, "wb", LEVEL, written, mtime=0) as file:
        file.write(content)
    return written.getvalue()
