"""The addresses of the API: two for each collection of the table, and those about a person."""

from django.urls import URLPattern, path, re_path, register_converter

from accounts.api_about import openapi_view
from accounts.api_http import unknown_address
from accounts.api_views import collection_view, dashboard_view, quota_view, record_view
from utils.records import COLLECTIONS, RECORD_COLLECTIONS, CollectionSpec


class RecordId:
    """A record's id, in the one way to write it: two addresses are never the same record."""

    regex = "[1-9][0-9]{0,17}"

    def to_python(self, value: str) -> int:
        return int(value)

    def to_url(self, value: int) -> str:
        return str(value)


register_converter(RecordId, "record_id")


def _addresses(spec: CollectionSpec) -> list[URLPattern]:
    name, one = spec.name, spec.singular
    return [
        path(f"{name}/", collection_view(spec), name=f"api_{name}"),
        path(f"{name}/<record_id:record_id>/", record_view(spec), name=f"api_{one}"),
    ]


urlpatterns = [
    *(address for name in RECORD_COLLECTIONS for address in _addresses(COLLECTIONS[name])),
    path("openapi.json", openapi_view, name="api_openapi"),
    path("dashboard/", dashboard_view, name="api_dashboard"),
    path("quota/", quota_view, name="api_quota"),
    re_path("", unknown_address),  # all others; nameless, as `unknown_address` expects
]
