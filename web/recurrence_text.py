"""Convert recurrence rules to words and back: "every 2 weeks on Monday".

`workspace.tasks.quick_add` parses the words produced here, in the same language. A rule that
cannot be expressed in words is shown in stored form.
"""

from __future__ import annotations

from datetime import UTC, date, datetime

from django.utils import dateformat, timezone
from django.utils.dates import MONTHS, WEEKDAYS
from django.utils.text import get_text_list
from django.utils.translation import get_language, ngettext
from django.utils.translation import gettext as _

from web.localization import local_time
from workspace.recurrence import RecurrenceRule, canonical_repeat, parse_repeat
from workspace.tasks.quick_add import parse_repeat_words

_WORKDAYS = tuple((0, day) for day in range(5))
OFFERED = (
    "FREQ=DAILY",
    "FREQ=WEEKLY;BYDAY=MO,TU,WE,TH,FR",
    "FREQ=WEEKLY",
    "FREQ=WEEKLY;INTERVAL=2",
    "FREQ=MONTHLY",
    "FREQ=MONTHLY;BYMONTHDAY=-1",
    "FREQ=YEARLY",
)


def describe(repeat: str) -> str:
    """Return the rule in words, such as "every week", or "" for no rule."""
    try:
        rule = parse_repeat(repeat)
    except ValueError:
        return repeat
    if rule is None:
        return ""
    words = _words(rule)
    if words is None:
        return repeat
    if rule.count is not None:
        ends = ngettext("%(rule)s, %(count)d time", "%(rule)s, %(count)d times", rule.count)
        return ends % {"rule": words, "count": rule.count}
    if rule.until:
        day = dateformat.format(_last_day(rule.until), _("j M Y"))
        return _("%(rule)s, until %(day)s") % {"rule": words, "day": day}
    return words


def _last_day(until: str) -> date:
    """Return the day of UNTIL. A moment is converted to the active zone."""
    if len(until) == len("20261203"):
        return datetime.strptime(until, "%Y%m%d").date()
    return local_time(datetime.strptime(until, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)).date()


def to_input(repeat: str) -> str:
    """Return the form input for a rule: its words if they parse to the same rule."""
    words = describe(repeat)
    return words if parse_input(words) == repeat else repeat


def parse_input(text: str) -> str:
    """Return the stored form of a rule, or of words that name one. Other text is unchanged."""
    line = " ".join(text.split())
    rule = canonical_repeat(line.upper().removeprefix("RRULE:"))
    if rule is not None:
        return rule
    parsed = parse_repeat_words(line, now=timezone.localtime(), language=get_language() or "en")
    return canonical_repeat(parsed) or line


def _words(rule: RecurrenceRule) -> str | None:
    if rule.positions and not _is_day_or_last(rule):
        return None
    functions = {"DAILY": _daily, "WEEKLY": _weekly, "MONTHLY": _monthly, "YEARLY": _yearly}
    return functions[rule.freq](rule)


def _is_day_or_last(rule: RecurrenceRule) -> bool:
    """Return True for the 29th or 30th of each month, or the last day of shorter months."""
    days = rule.month_days
    is_range = len(days) > 1 and days == tuple(range(28, days[-1] + 1))
    return rule.freq == "MONTHLY" and rule.positions == (-1,) and is_range and not rule.days


def _daily(rule: RecurrenceRule) -> str:
    if rule.interval == 1:
        return _("every day")
    return _("every %(number)d days") % {"number": rule.interval}


def _weekly(rule: RecurrenceRule) -> str:
    if rule.interval == 1 and rule.days == _WORKDAYS:
        return _("every weekday")
    days = get_text_list([str(WEEKDAYS[day]) for _none, day in rule.days], _("and"))
    values = {"number": rule.interval, "days": days}
    if rule.interval == 1:
        return _("every %(days)s") % values if days else _("every week")
    if days:
        return _("every %(number)d weeks on %(days)s") % values
    return _("every %(number)d weeks") % values


def _monthly(rule: RecurrenceRule) -> str | None:
    if not rule.days and not rule.month_days:
        if rule.interval == 1:
            return _("every month")
        return _("every %(number)d months") % {"number": rule.interval}
    if rule.month_days == (-1,) and not rule.days:
        if rule.interval == 1:
            return _("every month on the last day")
        return _("every %(number)d months on the last day") % {"number": rule.interval}
    if _is_day_or_last(rule):
        values = {"number": rule.interval, "day": rule.month_days[-1]}
        if rule.interval == 1:
            return _("every month on day %(day)d or the last day") % values
        return _("every %(number)d months on day %(day)d or the last day") % values
    if rule.interval > 1 or len(rule.days) + len(rule.month_days) > 1:
        return None
    if rule.month_days:
        day = rule.month_days[0]
        return _("every month on day %(day)d") % {"day": day} if day > 0 else None
    number, weekday = rule.days[0]
    ordinals = {
        1: _("every first %(day)s of the month"),
        2: _("every second %(day)s of the month"),
        3: _("every third %(day)s of the month"),
        4: _("every fourth %(day)s of the month"),
        -1: _("every last %(day)s of the month"),
    }
    return ordinals[number] % {"day": WEEKDAYS[weekday]} if number in ordinals else None


def _yearly(rule: RecurrenceRule) -> str | None:
    if not rule.months:
        if rule.interval == 1:
            return _("every year")
        return _("every %(number)d years") % {"number": rule.interval}
    if (rule.month_days, len(rule.months), rule.interval) == ((-1,), 1, 1) and not rule.days:
        return _("every last day of %(month)s") % {"month": MONTHS[rule.months[0]]}
    single = len(rule.months) == len(rule.month_days) == 1 and rule.month_days[0] > 0
    if rule.interval > 1 or rule.days or not single:
        return None
    values = {"day": rule.month_days[0], "month": MONTHS[rule.months[0]]}
    return _("every %(day)d %(month)s") % values
