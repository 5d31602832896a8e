"""URLs of the home page, the dashboard, and the pages of collections.

All collections have the same pages under their name: /tasks/  /tasks/new/  /tasks/3/edit/
/tasks/3/delete/  /tasks/3/complete/ Projects and models have a detail page: /projects/3/
/models/3/

Further views of tasks: /tasks/board/  /tasks/agenda/  /tasks/month/

Records of other users are under the owner's id. Only tasks can be added and deleted there:
/shared/7/projects/  /shared/7/tasks/?project=3  /shared/7/tasks/new/  /shared/7/tasks/3/edit/
Members are at /shared/7/projects/3/members/, those of an own project at /projects/3/members/.

A user's own files are under the names of their collections: /files/tasks/
"""

from django.urls import URLPattern, path, register_converter

import api.url_converters  # noqa: F401  registers record_id
from web import saved_views, undo, well_known
from web.activity import views as activity_views
from web.dashboard.views import dashboard
from web.files import views as file_views
from web.language_views import choose_language
from web.models import views as model_views
from web.onboarding import views as onboarding_views
from web.operator.views import operator_page
from web.preferences.views import preferences
from web.projects import views as project_views
from web.records import views
from web.schema_views import json_schema
from web.search import views as search_views
from web.sharing import views as sharing_views
from web.style_guide import design
from web.tasks import board_views, bulk_views
from web.tasks import views as task_views
from workspace.archive.user_files import OWN_FILES
from workspace.schema.validation import COLLECTIONS, RECORD_COLLECTIONS, CollectionSpec
from workspace.sharing.permissions import SHARED_COLLECTIONS


class CollectionConverter:
    """The name of a collection in an address; views get its entry in the table."""

    regex = "|".join(RECORD_COLLECTIONS)

    def to_python(self, value: str) -> CollectionSpec:
        return COLLECTIONS[value]

    def to_url(self, value: str | CollectionSpec) -> str:
        return value if isinstance(value, str) else value.name


class SharedConverter(CollectionConverter):
    """The name of a collection that can be shared."""

    regex = "|".join(SHARED_COLLECTIONS)


class TasksConverter(CollectionConverter):
    """The name of the tasks collection, for pages that only tasks have."""

    regex = "tasks"


class FileConverter(CollectionConverter):
    """The name of a collection whose files are shown to their owners."""

    regex = "|".join(OWN_FILES)


def _members(of: str, name: str) -> list[URLPattern]:
    """Return the URLs of a project's members. `of` is the URL prefix, `name` that of the names."""
    project = f"{of}projects/<record_id:record_id>/members/"
    member = f"{project}<record_id:person>/"
    return [
        path(project, sharing_views.members, name=f"{name}project_members"),
        path(
            f"{project}invitations/<record_id:number>/withdraw/",
            sharing_views.invitation_withdraw,
            name=f"{name}invitation_withdraw",
        ),
        path(f"{member}role/", sharing_views.member_role, name=f"{name}member_role"),
        path(f"{member}remove/", sharing_views.member_remove, name=f"{name}member_remove"),
        path(f"{member}hand-over/", sharing_views.hand_over, name=f"{name}hand_over"),
        path(f"{member}withdraw/", sharing_views.offer_withdraw, name=f"{name}offer_withdraw"),
    ]


register_converter(CollectionConverter, "collection")
register_converter(SharedConverter, "shared_collection")
register_converter(TasksConverter, "tasks")
register_converter(FileConverter, "own_file")

_THEIRS = "shared/<record_id:owner>/"
_THEIR_TASK = f"{_THEIRS}tasks/<record_id:record_id>/"
_TASKS = {"spec": COLLECTIONS["tasks"]}

shared_pages = [
    path(f"{_THEIRS}<shared_collection:spec>/", views.record_list, name="record_list"),
    path(
        f"{_THEIRS}<shared_collection:spec>/<record_id:record_id>/edit/",
        views.record_edit,
        name="record_edit",
    ),
    path(f"{_THEIRS}<tasks:spec>/bulk/", bulk_views.bulk_change, name="bulk_change"),
    path(
        f"{_THEIRS}<tasks:spec>/<record_id:record_id>/checklist/",
        task_views.checklist_tick,
        name="checklist_tick",
    ),
    path(f"{_THEIRS}<tasks:spec>/quick/", task_views.quick_add, name="quick_add"),
    path(f"{_THEIRS}tasks/board/", board_views.task_board, _TASKS, name="task_board"),
    path(f"{_THEIRS}tasks/month/", board_views.task_month, _TASKS, name="task_month"),
    path(f"{_THEIRS}tasks/agenda/", board_views.task_agenda, _TASKS, name="task_agenda"),
    path(f"{_THEIRS}tasks/new/", views.record_add, _TASKS, name="record_add"),
    path(f"{_THEIR_TASK}delete/", views.record_delete, _TASKS, name="record_delete"),
    path(f"{_THEIR_TASK}complete/", views.record_complete, _TASKS, name="record_complete"),
]

urlpatterns = [
    path("", views.home, name="home"),
    path(".well-known/security.txt", well_known.security_txt, name="security_txt"),
    path("favicon.ico", well_known.favicon, name="favicon"),
    path(".well-known/change-password", well_known.change_password, name="change_password"),
    path("security/", well_known.security_policy, name="security_policy"),
    path("dashboard/", dashboard, name="dashboard"),
    path("design/", design, name="design"),
    path("example/add/", onboarding_views.example_add, name="example_add"),
    path("example/remove/", onboarding_views.example_remove, name="example_remove"),
    path("settings/preferences/", preferences, name="preferences"),
    path("operator/", operator_page, name="operator"),
    path("activity/", activity_views.activity, name="activity"),
    path("activity/activity.csv", activity_views.activity_csv, name="activity_csv"),
    path("activity/activity.json", activity_views.activity_json, name="activity_json"),
    path("files/", file_views.file_list, name="file_list"),
    path("files/<own_file:spec>/", file_views.file_page, name="file_page"),
    path("files/<own_file:spec>/version/", file_views.file_version, name="file_version"),
    path("files/<own_file:spec>/download/", file_views.file_download, name="file_download"),
    path("search/", search_views.search, name="search"),
    path("shortcuts/", search_views.shortcuts, name="shortcuts"),
    path("shared/", sharing_views.shared, name="shared"),
    path(
        "shared/invitations/<record_id:shared_id>/accept/",
        sharing_views.invitation_accept,
        name="invitation_accept",
    ),
    path(
        "shared/invitations/<record_id:shared_id>/decline/",
        sharing_views.invitation_decline,
        name="invitation_decline",
    ),
    path(
        "shared/addressed/<record_id:number>/accept/",
        sharing_views.address_accept,
        name="address_accept",
    ),
    path(
        "shared/addressed/<record_id:number>/decline/",
        sharing_views.address_decline,
        name="address_decline",
    ),
    path("shared/decline-all/", sharing_views.decline_all, name="decline_all"),
    path("shared/people/<record_id:person>/never/", sharing_views.never_again, name="never_again"),
    path("shared/people/<record_id:person>/allow/", sharing_views.allow_again, name="allow_again"),
    path(
        "shared/offers/<record_id:shared_id>/accept/",
        sharing_views.offer_accept,
        name="offer_accept",
    ),
    path(
        "shared/offers/<record_id:shared_id>/decline/",
        sharing_views.offer_refuse,
        name="offer_refuse",
    ),
    path("projects/<record_id:record_id>/", project_views.project_detail, name="project_detail"),
    path(
        f"{_THEIRS}projects/<record_id:record_id>/",
        project_views.project_detail,
        name="shared_project_detail",
    ),
    path("language/", choose_language, name="choose_language"),
    path("undo/", undo.undo, name="undo"),
    *_members("", ""),
    *_members("shared/<record_id:owner>/", "shared_"),
    path("schemas/v1/<slug:name>.json", json_schema, name="json_schema"),
    *shared_pages,
    path("models/compare/", model_views.model_compare, name="model_compare"),
    path("models/<record_id:record_id>/", model_views.model_detail, name="model_detail"),
    path("tasks/views/", saved_views.task_views, name="task_views"),
    path("<tasks:spec>/bulk/", bulk_views.bulk_change, name="bulk_change"),
    path(
        "<tasks:spec>/<record_id:record_id>/checklist/",
        task_views.checklist_tick,
        name="checklist_tick",
    ),
    path("<tasks:spec>/quick/", task_views.quick_add, name="quick_add"),
    path("tasks/board/", board_views.task_board, _TASKS, name="task_board"),
    path("tasks/month/", board_views.task_month, _TASKS, name="task_month"),
    path("tasks/agenda/", board_views.task_agenda, _TASKS, name="task_agenda"),
    path("<collection:spec>/", views.record_list, name="record_list"),
    path("<collection:spec>/new/", views.record_add, name="record_add"),
    path("<collection:spec>/<record_id:record_id>/edit/", views.record_edit, name="record_edit"),
    path(
        "<collection:spec>/<record_id:record_id>/delete/", views.record_delete, name="record_delete"
    ),
    path(
        "<collection:spec>/<record_id:record_id>/complete/",
        views.record_complete,
        name="record_complete",
    ),
]
