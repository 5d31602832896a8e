"""Translate error messages of the lower layers for pages.

Those layers produce English messages, as the API returns them, that follow fixed patterns. The
patterns are repeated here as translatable strings. Messages without a pattern remain English.
"""

import re
from functools import cache

from django.utils.text import capfirst
from django.utils.translation import get_language, gettext
from django.utils.translation import gettext_noop as _

PATTERNS = (
    # fields
    _("must be a text of 1 to %(most)s characters"),
    _("must be a text of at most %(most)s characters"),
    _("must be one of %(choices)s"),
    _("must be a date (2026-11-23) or a date-time (2026-11-23T12:00:00Z)"),
    _("must be a list of at most %(most)s texts"),
    _("must be a list of names, ids and objects"),
    _("must be an object"),
    _("must be a list of objects"),
    _("must be a number"),
    _("must be a number of at least %(least)s"),
    _("must be a number from %(least)s to %(most)s"),
    _("must be a whole number"),
    _("must be a whole number of at least %(least)s"),
    _("must be a whole number from %(least)s to %(most)s"),
    _("must be true or false"),
    _("must be a positive whole number"),
    _("must be the id of one of the %(collection)s"),
    _('must be a rule of RFC 5545 such as %(rule)s, or ""'),
    _('must be the name of a time zone such as %(zone)s, or ""'),
    _('must be a list of at most %(most)s objects, each with "text" and "done"'),
    _("must be a name, an id (a positive whole number) or an object"),
    _(
        'must be an object with "text" (1 to %(most)s characters) and "done" (true or false)',
    ),
    # values
    _("must hold whole characters only; %(code)s is half of a surrogate pair"),
    _("must be one line without control characters; it holds %(code)s"),
    _("must hold no control characters but line break and tab; it holds %(code)s"),
    _("must have keys of at most %(most)s characters; one has %(count)s"),
    _("must lie between %(least)s and %(most)s"),
    _("must be a finite number"),
    _("must be nested at most %(most)s levels deep"),
    _("is given twice, in two forms of the same characters"),
    _("must have at most %(most)s bytes as JSON; it would have %(count)s"),
    # records
    _("must not be before start_date"),
    _("must be the id of a %(singular)s of yours"),
    _("must be the id of the owner or of a member of the project"),
    _("must keep its members: they are invited and removed"),
    # members of a project
    _("must be the name of an account"),
    _("must be the id of a member of the project"),
    _("must be another person than the owner"),
    _("is already invited"),
    _("is already a member"),
    _("exceeds the limit of %(most)s members per project"),
    _("has reached the limit of projects and invitations"),
    _("already has %(most)s open invitations from you"),
    _("must be a username or an email address"),
    _("must be a username: this server cannot confirm email addresses"),
    _("does not accept invitations from you"),
    # preferences
    _("must be the name of a time zone, such as Europe/Madrid, or empty"),
    _("must be at most %(most)s views"),
    _("must differ from the names of other views"),
    # JSON
    _(
        "a value is missing here: a text in double quotes, a number, true, false,"
        " null, a list or an object"
    ),
    _("a key in double quotes is expected here, and no comma may follow the last member"),
    _("remove this comma; none may follow the last member"),
    _("a colon must follow the key"),
    _("a comma or the closing bracket is missing here"),
    _("nothing may follow the end of the JSON value"),
    _("this text is not closed; add the double quote at its end"),
    _(r"write line breaks and tabs inside a text as \n and \t"),
    _(r"\u must be followed by four hexadecimal digits"),
    _(r"a backslash inside a text must be written as \\"),
)
_OR_NULL = ", or null"
_PLACE = re.compile(r"%\\\((\w+)\\\)s")  # %(name)s after `re.escape`


@cache
def _patterns() -> tuple[tuple[re.Pattern[str], str], ...]:
    """Return each pattern as a regular expression and as its message id."""
    return tuple(
        (re.compile(_PLACE.sub(r"(?P<\1>.+)", re.escape(text)), re.DOTALL), text)
        for text in PATTERNS
    )


def is_known(detail: str) -> bool:
    """Return whether a message matches a pattern."""
    plain = detail.removesuffix(_OR_NULL)
    return any(pattern.fullmatch(plain) for pattern, _message in _patterns())


def in_persons_words(detail: object) -> str:
    """Return the detail of a fault in the language of the page."""
    text = str(detail)
    plain = text.removesuffix(_OR_NULL)
    end = gettext(", or empty") if plain != text else ""
    if get_language() != "en":
        for pattern, message in _patterns():
            if match := pattern.fullmatch(plain):
                return gettext(message) % match.groupdict() + end
    return plain + end


def sentence(detail: object) -> str:
    """Return the detail of a fault ("must be one line") as a complete sentence."""
    text = str(capfirst(in_persons_words(detail)))
    return text if text.endswith((".", "!", "?")) else f"{text}."
