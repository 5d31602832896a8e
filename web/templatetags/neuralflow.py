"""Template filters and tags: `{% load neuralflow %}`."""

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from itertools import count
from typing import Any

from django import template
from django.conf import settings
from django.forms import FileInput, PasswordInput
from django.forms.boundfield import BoundField
from django.http import HttpRequest
from django.template import Context
from django.template.base import FilterExpression, Node, NodeList, Parser, Token
from django.template.defaulttags import CsrfTokenNode
from django.templatetags.static import static
from django.utils import dateformat, timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import get_language, gettext

from docstore import Corrupt, Key, StoreError
from utils.json_storage import json_storage
from web import recurrence_text
from web.activity_entries import said_of
from web.error_messages import remark_in_words
from web.form_values import show_text
from web.fragment_cache import NOT_KEPT, FragmentCache, key_of
from web.labels import ACTIVITY_WORDS, CHOICE_WORDS, TONES, WORDS, Text, in_words
from web.localization import local_time, preferences_of
from web.navigation import Destination, places_for
from web.numbers import exact_text, is_number, percent_text
from web.presenters import RecordRow, relative_day
from web.record_scope import address_of, project_address
from web.user_agents import device_of
from workspace.archive.user_files import OWN_FILES
from workspace.membership.invitations import Invitations
from workspace.timestamps import is_date, parse_or_none

register = template.Library()


@register.filter
def repeats(rule: object) -> str:
    """Return a recurrence rule in words: "every week"."""
    return recurrence_text.describe(rule) if isinstance(rule, str) else ""


@register.filter
def moment(value: object) -> SafeString | str:
    """Return a stored time or a datetime in the user's zone: "23 Nov 2026, 14:05".

    A date is a day without a zone. A text that is not a time is returned unchanged. Other values
    become "".
    """
    when = value if isinstance(value, datetime) else parse_or_none(value)
    text = value if isinstance(value, str) else ""
    if when is None:
        return text
    if text and is_date(text):
        return format_html(
            '<time datetime="{}">{}</time>', text, dateformat.format(when, gettext("j M Y"))
        )
    return _time_tag(when, gettext("j M Y, H:i"))


@register.filter
def due(value: object) -> SafeString | str:
    """Return a future time, with names of near days: "tomorrow, 14:05", "Fri 27 Nov"."""
    when, text = parse_or_none(value), value if isinstance(value, str) else ""
    if when is None:
        return text
    today = timezone.localdate()
    if is_date(text):
        named = relative_day(when.date(), today)
        return format_html('<time datetime="{}">{}</time>', text, named)
    return _time_tag(when, "H:i", f"{relative_day(local_time(when).date(), today)}, ")


def _time_tag(when: datetime, shape: str, before: str = "") -> SafeString:
    """Return a <time> element. It names the zone only if that is UTC, rarely the user's own."""
    local = local_time(when)
    zone = " UTC" if local.tzname() == "UTC" else ""
    readable = before + dateformat.format(local, shape) + zone
    exact = when.astimezone(UTC).isoformat().replace("+00:00", "Z")
    return format_html('<time datetime="{}">{}</time>', exact, readable)


@register.simple_tag(takes_context=True)
def shared_count(context: Context) -> int:
    """Return the number of the user's memberships and invitations, or 0 if unreadable."""
    try:
        person = context["user"].pk
        return len(json_storage.view("shared", person)) or int(
            Invitations(json_storage).is_waiting(person)
        )
    except (StoreError, OSError):
        return 0


@register.simple_tag
def members_invite() -> bool:
    """Return whether users may invite others to sign up."""
    per_day: int = settings.NEURALFLOW_SIGNUP_INVITATIONS_PER_DAY
    return settings.NEURALFLOW_SIGNUP == "invite" and per_day > 0


@register.simple_tag(takes_context=True)
def file_faults(context: Context) -> list[Corrupt]:
    """Return the faults of the user's unreadable files, whose last good state pages show."""
    try:
        store, owner = json_storage.store, context["user"].pk
        faults = [store.fault(Key(name, owner)) for name in OWN_FILES]
    except (StoreError, OSError):
        return []
    return [fault for fault in faults if fault is not None]


@register.filter
def in_words_of_page(remark: object) -> str:
    """Return a remark on a version of a file in the language of the page."""
    return remark_in_words(str(remark))


@register.filter
def clock(value: object) -> SafeString | str:
    """Return the time of day of a stored time in the user's zone, "14:05", or ""."""
    when = parse_or_none(value)
    return "" if when is None or is_date(str(value)) else _time_tag(when, "H:i")


@register.filter
def word(value: object) -> Text:
    """Return the label of a choice."""
    return in_words(value, CHOICE_WORDS)


@register.filter
def collection_word(name: object) -> Text:
    """Return the label of a collection."""
    return WORDS[str(name)].plural if name in WORDS else str(name)


@register.filter
def number(value: object) -> str:
    """Return a number with all digits, localized. Other values become text."""
    return exact_text(value) if is_number(value) else show_text(value)


@register.filter
def percent(accuracy: object) -> str:
    """Return an accuracy in per cent, localized."""
    return percent_text(accuracy) if is_number(accuracy) else ""


@register.filter
def plain(value: float) -> str:
    """Return a number for use in markup, independent of language: "84.5"."""
    return f"{value:.10g}"


@register.filter
def tone(value: object) -> str:
    """Return the CSS class of a choice's badge."""
    return TONES.get(str(value), "")


@register.filter
def done_items(checklist: object) -> int:
    """Return the number of done checklist items."""
    items = checklist if isinstance(checklist, list) else []
    return sum(isinstance(item, dict) and item.get("done") is True for item in items)


@register.filter
def device(agent: object) -> str:
    """Return browser and system of a User-Agent, "Firefox on Linux", or the header itself."""
    return device_of(str(agent or "")) or str(agent or "")


@register.filter
def activity_word(value: object) -> Text:
    """Return the label of an activity's type."""
    return in_words(value, ACTIVITY_WORDS)


@register.filter
def deed(activity: Mapping[str, Any]) -> str:
    """Return an activity in short: what was done, and to what."""
    what, about = said_of(activity)
    return f"{what}: {about}" if about else str(what)


@register.filter
def is_under(path: object, address: str) -> bool:
    """Return whether the path begins with the address."""
    return bool(address) and str(path or "").startswith(address)


@register.filter
def section(path: object) -> str:
    """Return the part of a path that the navigation depends on, for its cache key."""
    first, *others = str(path or "").strip("/").split("/")
    return f"/{first}/..." if others and first != "accounts" else str(path or "")


@register.simple_tag(takes_context=True)
def record_url(context: Context, view: str, record_id: int | None = None, spec: str = "") -> str:
    """Return the URL of a view in the page's scope, whether the records are shared or not.

    `spec` names another collection of the same owner.
    """
    whose = context.get("whose")
    owner = whose.owner if whose and whose.shared else None
    return address_of(view, spec or context["spec"], record_id, owner)


@register.simple_tag
def task_url(view: str, row: RecordRow) -> str:
    """Return the URL of a view of a row's task, shared or not."""
    return address_of(view, "tasks", row.id, row.owner)


@register.simple_tag(takes_context=True)
def project_url(context: Context, view: str, project_id: int) -> str:
    """Return the URL of a view of a project in the page's scope."""
    whose = context.get("whose")
    return project_address(view, project_id, whose.owner if whose and whose.shared else None)


@register.simple_tag
def icon(name: str) -> SafeString:
    """Return a decorative icon from the sprite. It must repeat an adjacent text."""
    return _drawn(static("img/icons.svg"), name)


@cache
def _drawn(sprite: str, name: str) -> SafeString:
    return format_html(
        '<svg class="icon" aria-hidden="true"><use href="{}#{}"></use></svg>', sprite, name
    )


def facts_of_field(field: BoundField) -> object:
    """Return everything that rendering a form field depends on, or `NOT_KEPT` for secrets."""
    widget = field.field.widget
    if isinstance(widget, PasswordInput | FileInput):
        return NOT_KEPT
    form = field.form
    return (
        type(widget).__qualname__,
        field.html_name,
        field.auto_id,
        field.label,
        field.help_text,
        field.value(),
        field.initial if field.field.show_hidden_initial else None,
        [str(error) for error in field.errors],
        widget.attrs,
        list(getattr(widget, "choices", ())),
        getattr(field.field, "suggestions", ()),
        getattr(field.field, "wide", False),
        (field.field.required, field.field.disabled, form.use_required_attribute),
    )


_TOKEN = 'name="csrfmiddlewaretoken"'  # user text cannot match, because its quotes are escaped
_parts = FragmentCache()
_places = count()


class KeptNode(Node):
    """A template node whose output is cached."""

    def __init__(self, values: list[FilterExpression], nodes: NodeList) -> None:
        self._values, self._nodes, self._place = values, nodes, next(_places)

    def render(self, context: Context) -> SafeString:
        return mark_safe(_parts.part(self._key(context), lambda: self._made(context)))

    def _made(self, context: Context) -> str:
        part: str = self._nodes.render(context)
        # Included templates cannot be checked at compile time. A cached CSRF token would be served
        # to other users.
        if _TOKEN in part:
            raise template.TemplateSyntaxError("a token against forgery may not be kept")
        return part

    def _key(self, context: Context) -> bytes | None:
        zone, day = timezone.get_current_timezone_name(), str(timezone.localdate())
        values = [value.resolve(context) for value in self._values]
        return key_of([self._place, get_language(), zone, day, *values])


class KeptEachNode(KeptNode):
    """A template node whose output is cached for each item of a list."""

    def __init__(
        self, name: str, each: FilterExpression, values: list[FilterExpression], nodes: NodeList
    ) -> None:
        super().__init__(values, nodes)
        self._name, self._each = name, each

    def render(self, context: Context) -> SafeString:
        common = self._key(context)
        parts = [self._part(context, common, value) for value in self._each.resolve(context)]
        return mark_safe("".join(parts))

    def _part(self, context: Context, common: bytes | None, value: object) -> str:
        def make() -> str:
            with context.push(**{self._name: value}):
                return self._made(context)

        own = key_of(facts_of_field(value) if isinstance(value, BoundField) else value)
        return _parts.part(common + own if common and own else None, make)


@register.tag
def kept(parser: Parser, token: Token) -> KeptNode:
    """Cache a fragment: `{% kept row whose.owner %}...{% endkept %}`.

    The key has these values, the language, the time zone and the day. The output must depend on
    nothing else. A CSRF token is therefore an error.
    """
    _name, *names = token.split_contents()
    values = [parser.compile_filter(name) for name in names]
    return KeptNode(values, _kept_nodes(parser, "endkept", names))


@register.tag
def kept_each(parser: Parser, token: Token) -> KeptEachNode:
    """Cache a fragment for each item of a list, like `kept`.

    {% kept_each row in page.object_list whose.owner %}...{% endkept_each %}
    """
    _name, name, _in, each, *names = [*token.split_contents(), "", "", ""]
    names = [name for name in names if name]
    nodes = _kept_nodes(parser, "endkept_each", [name] if _in == "in" and each else [])
    values = [parser.compile_filter(name) for name in names]
    return KeptEachNode(name, parser.compile_filter(each), values, nodes)


def _kept_nodes(parser: Parser, end: str, names: list[str]) -> NodeList:
    nodes = parser.parse((end,))
    parser.delete_first_token()
    if not names or nodes.get_nodes_by_type(CsrfTokenNode):
        raise template.TemplateSyntaxError("kept needs the values of its part, and no csrf_token")
    return nodes


@register.simple_tag(takes_context=True)
def places(context: Context) -> list[Destination]:
    """Return the destinations of the main navigation."""
    return places_for(context["user"].is_staff)


@register.filter
def keys_of(keys: str) -> list[str]:
    """Split a key sequence: "g t" is g, then t."""
    return keys.split()


@register.filter
def wants_keys(request: HttpRequest) -> bool:
    """Return whether the user has enabled single-key shortcuts."""
    return preferences_of(request).single_keys
