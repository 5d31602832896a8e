"""URLs of probes, metrics and maintenance, for those who watch the server."""

from django.urls import path

from core.health.views import healthz, livez, metrics, readyz
from core.maintenance.views import maintenance_page

urlpatterns = [
    path("livez", livez, name="livez"),
    path("readyz", readyz, name="readyz"),
    path("healthz", healthz, name="healthz"),
    path("metrics", metrics, name="metrics"),
    path("operator/maintenance/", maintenance_page, name="maintenance"),
]
