"""A Django project with one view: the cost of the server and the framework alone."""

from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, HttpResponse
from django.urls import path

ANSWER_BYTES = 45_600  # a list of 100 tasks


def answer(request: HttpRequest) -> HttpResponse:
    """Return a prepared response of the size of a task list."""
    return HttpResponse(_CONTENT, content_type="application/json")


settings.configure(
    SECRET_KEY="not a secret: this serves a benchmark",
    ALLOWED_HOSTS=["127.0.0.1"],
    ROOT_URLCONF=__name__,
    # It sets Content-Length. Without that, gunicorn would use chunked encoding.
    MIDDLEWARE=["django.middleware.common.CommonMiddleware"],
)
_CONTENT = b'{"tasks": "' + b"x" * (ANSWER_BYTES - 13) + b'"}'
urlpatterns = [path("bare/", answer)]
application = get_wsgi_application()
