"""Saved views of the task list: some for all users, and those that a user saved.

A view is a name and a query string. Saved ones are in the user's preferences.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse, HttpResponseRedirect, QueryDict
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_POST

from utils.middleware import StorageRequest
from web.error_messages import sentence
from web.labels import Text
from web.list_filter import ListFilter
from web.localization import forget_preferences, preferences_of
from web.record_scope import RecordScope
from workspace.schema.validation import COLLECTIONS, InvalidRecord
from workspace.texts import folded_name
from workspace.users.preferences import Preferences, View

TASKS = COLLECTIONS["tasks"]
EVERYBODYS: dict[str, Text] = {
    "": gettext_lazy("All"),
    "status=open&due=today": gettext_lazy("Today"),
    "due=overdue": gettext_lazy("Overdue"),
    "sort=due&status=open&due=week": gettext_lazy("Next 7 days"),
}


@dataclass(frozen=True)
class Tab:
    """A view as a link above the list."""

    name: Text
    query: str
    is_saved: bool = False


def tabs_of(request: StorageRequest, whose: RecordScope) -> list[Tab]:
    """Return the views of a list. Saved views are for the user's own tasks only."""
    tabs = [Tab(name, _normal(whose, query)) for query, name in EVERYBODYS.items()]
    saved = () if whose.shared else preferences_of(request).views
    return tabs + [Tab(view.name, _normal(whose, view.query), is_saved=True) for view in saved]


def current_of(tabs: Sequence[Tab], selection: ListFilter) -> Tab | None:
    """Return the view that equals the selection. A saved view takes precedence."""
    return next((tab for tab in reversed(tabs) if tab.query == selection.query), None)


def selection_of(whose: RecordScope, parameters: Mapping[str, str]) -> ListFilter:
    """Parse a query string. Tasks can also be filtered by project and assignee."""
    if whose.spec.name != "tasks":
        return ListFilter.of(whose.spec, parameters)
    return ListFilter.of(whose.spec, parameters, whose.projects, whose.people)


def _normal(whose: RecordScope, query: str) -> str:
    return selection_of(whose, QueryDict(query)).query


@require_POST
@login_required
def task_views(request: StorageRequest) -> HttpResponse:
    """Save the current list as a view (`do=save`), rename a view, or remove it."""
    whose = RecordScope.of(request, TASKS, None)
    done, was = request.POST.get("do"), request.POST.get("was", "")
    view = View(request.POST.get("name", "").strip(), _normal(whose, request.POST.get("query", "")))

    def change(preferences: Preferences) -> dict[str, list[View]]:
        views = list(preferences.views)
        if done == "save":
            same = folded_name(view.name)
            views = [existing for existing in views if folded_name(existing.name) != same]
            return {"views": [*views, view]}
        if done == "remove":
            return {"views": [existing for existing in views if existing.name != was]}
        return {
            "views": [
                View(view.name, existing.query) if existing.name == was else existing
                for existing in views
            ]
        }

    try:
        request.json_storage.change_preferences(cast(int, request.user.pk), change)
    except InvalidRecord as invalid:
        messages.error(request, sentence(invalid.errors[0].detail))
    else:
        forget_preferences(request)
        messages_by_action = {
            "save": _("The view was saved."),
            "remove": _("The view was removed."),
        }
        messages.success(request, messages_by_action.get(str(done), _("The view was renamed.")))
    return HttpResponseRedirect(f"{whose.address('record_list')}?{view.query}".rstrip("?"))
