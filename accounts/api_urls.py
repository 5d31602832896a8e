"""The addresses of the API: two for each collection of the table, and those about a person."""

from django.urls import URLPattern, path, re_path

import utils.addresses  # noqa: F401  it registers record_id
from accounts.api_about import openapi_view
from accounts.api_activity import activity_view
from accounts.api_changes import changes_view
from accounts.api_http import unknown_address
from accounts.api_portability import export_view, import_view
from accounts.api_views import collection_view, dashboard_view, quota_view, record_view
from utils.records import COLLECTIONS, RECORD_COLLECTIONS, CollectionSpec


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
    path("activity/", activity_view, name="api_activity"),
    path("changes/", changes_view, name="api_changes"),
    path("export/", export_view, name="api_export"),
    path("import/", import_view, name="api_import"),
    re_path("", unknown_address),  # all others; nameless, as `unknown_address` expects
]
