"""URLs of probes and metrics, for the systems that watch the server."""

from django.urls import path

from core.health.views import healthz, livez, metrics, readyz

urlpatterns = [
    path("livez", livez, name="livez"),
    path("readyz", readyz, name="readyz"),
    path("healthz", healthz, name="healthz"),
    path("metrics", metrics, name="metrics"),
]
