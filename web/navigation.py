"""Navigation destinations for the command palette, the search page and the shortcuts."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from web.labels import WORDS, Text
from workspace.texts import folded


@dataclass(frozen=True)
class Destination:
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
    Destination("plus", WORDS["tasks"].new, "record_add", ("tasks",), "n", more=_("add create")),
    Destination("plus", WORDS["projects"].new, "record_add", ("projects",), more=_("add create")),
    Destination("plus", WORDS["models"].new, "record_add", ("models",), more=_("add create")),
)
PAGES = (
    Destination("dashboard", _("Dashboard"), "dashboard", keys="g d", more=_("overview start")),
    Destination("tasks", WORDS["tasks"].plural, "record_list", ("tasks",), "g t", more=_("list")),
    Destination("board", _("Board"), "task_board", keys="g b", more=_("tasks columns kanban")),
    Destination(
        "calendar", _("Agenda"), "task_agenda", keys="g a", more=_("tasks days due calendar")
    ),
    Destination("month", _("Month"), "task_month", more=_("tasks days due calendar")),
    Destination("projects", WORDS["projects"].plural, "record_list", ("projects",), "g p"),
    Destination("models", WORDS["models"].plural, "record_list", ("models",), "g m"),
    Destination("members", _("Shared"), "shared", keys="g s", more=_("invitations members")),
    Destination("file", _("My files"), "file_list", keys="g f", more=_("json download")),
    Destination("calendar", _("Activity"), "activity", keys="g y", more=_("history log")),
    Destination("profile", _("Settings"), "profile", keys="g u", more=_("profile account name")),
    Destination(
        "profile", _("Appearance and language"), "preferences", more=_("theme dark light zone")
    ),
    Destination("profile", _("Password"), "account_change_password", more=_("settings change")),
    Destination(
        "profile", _("Two-factor authentication"), "mfa_index", more=_("settings totp code app")
    ),
    Destination("profile", _("Active sessions"), "sessions", more=_("settings sessions devices")),
    Destination("profile", _("API tokens"), "tokens", more=_("settings programs")),
    Destination(
        "download", _("Export and import"), "your_data", more=_("settings archive take out")
    ),
    Destination("info", _("API documentation"), "api_docs", more=_("openapi programs")),
    Destination(
        "info", _("Keyboard shortcuts"), "shortcuts", keys="?", more=_("shortcuts keyboard help")
    ),
    Destination("operator", _("Server"), "operator", staff=True, more=_("server backups journal")),
    Destination("logout", _("Log out"), "account_logout"),
)


def places_for(is_staff: bool, words: Sequence[str] = ()) -> list[Destination]:
    """Return the destinations that match the words, or all without words."""
    return [
        place
        for place in (*PAGES, *BEGINNINGS)
        if (is_staff or not place.staff) and place.goes_by(words)
    ]
