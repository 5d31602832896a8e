"""NeuralFlow's addresses, and /ok/."""

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.template import engines
from django.urls import path

from neuralflow.urls import urlpatterns as pages

_TEMPLATE = engines["django"].from_string("ok")


@login_required
def ok(request: HttpRequest) -> HttpResponse:
    """As little as a page of a signed-in person can be."""
    return HttpResponse(_TEMPLATE.render({}, request))


urlpatterns = [path("ok/", ok), *pages]
