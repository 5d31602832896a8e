"""NeuralFlow's URLs, and /ok/."""

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.template import engines
from django.urls import path

from neuralflow.urls import urlpatterns as pages

_TEMPLATE = engines["django"].from_string("ok")


@login_required
def ok(request: HttpRequest) -> HttpResponse:
    """Return the smallest page that a signed-in user can get."""
    return HttpResponse(_TEMPLATE.render({}, request))


urlpatterns = [path("ok/", ok), *pages]
