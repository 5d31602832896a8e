"""Navigation destinations for the command palette, the search page and the shortcuts."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from web.labels import WORDS, Text
from workspace.texts import folded


@dataclass(frozen=True)
class Place:
    """A page, and the words and keys that lead to it."""

    icon: str
    title: Text
    view: str
    arguments: tuple[str, ...] = ()
    keys: str = ""  # key sequence: "g t"
    staff: bool = False  # for staff only
    more: Text = ""  # further search words

    @cached_property
    def address(self) -> str:
        return reverse(self.view, args=self.arguments)

    def goes_by(self, words: Sequence[str]) -> bool:
        """Return whether the title or search words contain all of these folded words."""
        text = folded(f"{self.title} {self.more}")
        return all(word in text for word in words)


BEGINNINGS = (
    Place("plus", WORDS["tasks"].new, "record_add", ("tasks",), "n", more=_("add create")),
    Place("plus", WORDS["projects"].new, "record_add", ("projects",), more=_("add create")),
    Place("plus", WORDS["models"].new, "record_add", ("models",), more=_("add create")),
)
PAGES = (
    Place("dashboard", _("Dashboard"), "dashboard", keys="g d", more=_("overview start")),
    Place("tasks", WORDS["tasks"].plural, "record_list", ("tasks",), "g t", more=_("list")),
    Place("board", _("Board"), "task_board", keys="g b", more=_("tasks columns kanban")),
    Place("calendar", _("Agenda"), "task_agenda", keys="g a", more=_("tasks days due calendar")),
    Place("month", _("Month"), "task_month", more=_("tasks days due calendar")),
    Place("projects", WORDS["projects"].plural, "record_list", ("projects",), "g p"),
    Place("models", WORDS["models"].plural, "record_list", ("models",), "g m"),
    Place("members", _("Shared"), "shared", keys="g s", more=_("invitations members")),
    Place("file", _("My files"), "file_list", keys="g f", more=_("json download")),
    Place("calendar", _("Activity"), "activity", keys="g y", more=_("history log")),
    Place("profile", _("Settings"), "profile", keys="g u", more=_("profile account name")),
    Place("profile", _("Appearance and language"), "preferences", more=_("theme dark light zone")),
    Place("profile", _("Password"), "account_change_password", more=_("settings change")),
    Place("profile", _("Two-factor authentication"), "mfa_index", more=_("settings totp code app")),
    Place("profile", _("Active sessions"), "sessions", more=_("settings sessions devices")),
    Place("profile", _("API tokens"), "tokens", more=_("settings programs")),
    Place("download", _("Export and import"), "your_data", more=_("settings archive take out")),
    Place("info", _("API documentation"), "api_docs", more=_("openapi programs")),
    Place(
        "info", _("Keyboard shortcuts"), "shortcuts", keys="?", more=_("shortcuts keyboard help")
    ),
    Place("operator", _("Server"), "operator", staff=True, more=_("server backups journal")),
    Place("logout", _("Log out"), "account_logout"),
)


def places_for(is_staff: bool, words: Sequence[str] = ()) -> list[Place]:
    """Return the destinations that match the words, or all without words."""
    return [
        place
        for place in (*PAGES, *BEGINNINGS)
        if (is_staff or not place.staff) and place.goes_by(words)
    ]
