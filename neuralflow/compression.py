"""Pages travel compressed: a list of fifty tasks is a tenth of its size then."""

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.middleware.gzip import GZipMiddleware


class PagesGZipMiddleware(GZipMiddleware):
    """Compresses pages, and nothing else: a stream of events must not wait until there is enough
    of it, and calls of programs are answered sooner as they are.

    What an attacker could have repeated on a page beside a secret could be guessed from the length
    (BREACH, 2013). Django adds up to 100 random bytes to each answer and masks the token against
    forgery anew each time; an API token or a recovery code is shown once.
    """

    def process_response(
        self, request: HttpRequest, response: HttpResponseBase
    ) -> HttpResponseBase:
        is_page = response.headers.get("Content-Type", "").startswith("text/html")
        if response.streaming or not is_page:
            return response
        return super().process_response(request, response)
