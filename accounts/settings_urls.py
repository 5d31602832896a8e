"""URLs of the settings pages below /settings/."""

from django.urls import path
from django.views.decorators.http import require_safe
from django.views.generic import RedirectView

from accounts import data_views

urlpatterns = [
    path("", require_safe(RedirectView.as_view(pattern_name="preferences")), name="settings"),
    path("data/", data_views.your_data, name="your_data"),
    path("data/export/", data_views.export, name="export"),
]
