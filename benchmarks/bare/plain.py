"""A Django of one view: what the server and the framework cost before anybody does anything."""

from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, HttpResponse
from django.urls import path

ANSWER_BYTES = 45_600  # a list of 100 tasks


def answer(request: HttpRequest) -> HttpResponse:
    """The bytes of a list, which are there already."""
    return HttpResponse(_CONTENT, content_type="application/json")


settings.configure(
    SECRET_KEY="not a secret: this serves a benchmark",
    ALLOWED_HOSTS=["127.0.0.1"],
    ROOT_URLCONF=__name__,
    # For the Content-Length, without which gunicorn would send chunks.
    MIDDLEWARE=["django.middleware.common.CommonMiddleware"],
)
_CONTENT = b'{"tasks": "' + b"x" * (ANSWER_BYTES - 13) + b'"}'
urlpatterns = [path("bare/", answer)]
application = get_wsgi_application()
