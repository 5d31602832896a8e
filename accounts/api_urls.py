"""URLs of the API: collections, sharing, and operations on a user's data."""

from collections.abc import Iterator

from django.urls import URLPattern, path, re_path

import api.url_converters  # noqa: F401  it registers record_id
from accounts.api_tokens import ApiTokens
from accounts.api_views import (
    bulk_view,
    collection_view,
    dashboard_view,
    quick_view,
    quota_view,
    record_view,
)
from api.authentication import use_tokens
from api.docs_views import docs_view, openapi_view
from api.endpoint import unknown_address
from api.views.activity import activity_view
from api.views.changes import changes_view
from api.views.dates import dates_view
from api.views.export_import import export_view, import_view
from api.views.sharing import (
    blocked_list_view,
    blocked_view,
    invitation_view,
    invitations_view,
    member_view,
    members_view,
    own_invitation_view,
    ownership_view,
    shared_list_view,
    shared_view,
    transfer_view,
)
from api.views.undo import undo_view
from workspace.schema.validation import COLLECTIONS, RECORD_COLLECTIONS, CollectionSpec
from workspace.sharing.permissions import SHARED_COLLECTIONS

use_tokens(ApiTokens())


def _addresses(spec: CollectionSpec) -> Iterator[URLPattern]:
    """Yield the URLs of a collection: the user's own records, and those shared by an owner."""
    name, singular = spec.name, spec.singular
    many, single, bulk = collection_view(spec), record_view(spec), bulk_view(spec)
    yield path(f"{name}/", many, name=f"api_{name}")
    yield path(f"{name}/<record_id:record_id>/", single, name=f"api_{singular}")
    yield path(f"{name}/bulk/", bulk, name=f"api_{name}_bulk")
    if name in SHARED_COLLECTIONS:
        there = f"users/<record_id:owner>/{name}/"
        yield path(there, many, name=f"api_shared_{name}")
        yield path(f"{there}<record_id:record_id>/", single, name=f"api_shared_{singular}")
        yield path(f"{there}bulk/", bulk, name=f"api_shared_{name}_bulk")


def _of_projects(start: str, names: str) -> Iterator[URLPattern]:
    project = f"{start}projects/<record_id:record_id>/"
    yield path(f"{project}members/", members_view, name=f"{names}_members")
    yield path(f"{project}members/<record_id:person>/", member_view, name=f"{names}_member")
    yield path(
        f"{project}invitations/<record_id:number>/", invitation_view, name=f"{names}_invitation"
    )
    yield path(f"{project}transfer/", transfer_view, name=f"{names}_transfer")


urlpatterns = [
    path("tasks/quick/", quick_view, name="api_tasks_quick"),
    *(address for name in RECORD_COLLECTIONS for address in _addresses(COLLECTIONS[name])),
    path("docs/", docs_view, name="api_docs"),
    *_of_projects("", "api_project"),
    *_of_projects("users/<record_id:owner>/", "api_shared_project"),
    path("shared/", shared_list_view, name="api_shared_list"),
    path("shared/<record_id:shared_id>/", shared_view, name="api_shared"),
    path("shared/<record_id:shared_id>/ownership/", ownership_view, name="api_ownership"),
    path("invitations/", invitations_view, name="api_invitations"),
    path("invitations/<record_id:number>/", own_invitation_view, name="api_own_invitation"),
    path("blocked-inviters/", blocked_list_view, name="api_blocked_list"),
    path("blocked-inviters/<record_id:inviter>/", blocked_view, name="api_blocked"),
    path("openapi.json", openapi_view, name="api_openapi"),
    path("dashboard/", dashboard_view, name="api_dashboard"),
    path("dates/", dates_view, name="api_dates"),
    path("quota/", quota_view, name="api_quota"),
    path("activity/", activity_view, name="api_activity"),
    path("changes/", changes_view, name="api_changes"),
    path("undo/", undo_view, name="api_undo"),
    path("export/", export_view, name="api_export"),
    path("import/", import_view, name="api_import"),
    re_path("", unknown_address),  # all others; nameless, as `unknown_address` expects
]
