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
# Remarks on versions of files that were set aside, as their notes have them.
REMARKS = (
    # a field that cannot be read
    _(
        '"%(field)s" of record %(id)s cannot be read: it %(reason)s'
        " (line %(line)s, column %(column)s)"
    ),
    _(
        '"%(field)s" of entry %(entry)s cannot be read: it %(reason)s'
        " (line %(line)s, column %(column)s)"
    ),
    _("is nested deeper than %(most)s levels"),
    _("has an integer of more than %(most)s digits"),
    _("has %(number)s, which is not a number that JSON can carry"),
    _("has half of a surrogate pair, which is not a character"),
    _("has the key %(key)s twice"),
    _("stands twice in its record"),
    # values
    _("a new %(singular)s was not added: %(details)s"),
    _('"%(field)s" was not changed: it %(detail)s'),
    _('%(id)s was not changed: "%(field)s" %(detail)s'),
    _("%(record)s was not changed: %(details)s"),
    _('"%(field)s" of %(record)s is set by NeuralFlow'),
    _('"%(field)s" is set by NeuralFlow'),
    _('"%(field)s" is the account\'s: change it on the page "Profile"'),
    # changes of others, and of earlier saves
    _("%(id)s is in the file again; an earlier save removed it"),
    _("%(id)s, which an earlier save of this file added, was kept"),
    _(
        "%(what)s has the value again that it had in revision %(revision)s;"
        " the current value was kept"
    ),
    _("%(id)s was deleted meanwhile; your changes to it were not applied"),
    _("several records have the id %(id)s; none was changed"),
    _("the id %(id)s is taken; the record was given the next one"),
    _("the id %(id)s stands twice; the second record was given the next"),
    _("the id %(id)s is too large; the record was given the next one"),
    _("%(id)s was changed meanwhile, so it was not removed"),
    _("it is again as revision %(revision)s was; what was saved since then stays"),
    _("this version of the file was merged before; nothing was changed"),
    _("%(doubt)s, so nobody can tell what you changed; nothing was taken"),
    _("it names revision %(revision)s, which is yet to come"),
    _("revision %(revision)s is not in the history any more"),
    _("it names no revision"),
    _('its "%(field)s" is not that of revision %(revision)s'),
    _("Set aside by a repair: %(repair)s"),
)
_RECORDS = {"task": _("task"), "project": _("project"), "model": _("model")}
_OR_NULL = ", or null"
_PLACE = re.compile(r"%\\\((\w+)\\\)s")  # %(name)s after `re.escape`


@cache
def _patterns() -> tuple[tuple[re.Pattern[str], str], ...]:
    """Return each pattern as a regular expression and as its message id."""
    return tuple(
        (re.compile(_PLACE.sub(r"(?P<\1>.+)", re.escape(text)), re.DOTALL), text)
        for text in PATTERNS
    )


@cache
def _remarks() -> tuple[tuple[re.Pattern[str], str], ...]:
    return tuple(
        (re.compile(_PLACE.sub(r"(?P<\1>.+)", re.escape(text)), re.DOTALL), text)
        for text in REMARKS
    )


def remark_in_words(remark: str) -> str:
    """Return a remark on a version of a file in the language of the page.

    Faults within it are translated, too. A remark without a pattern remains English.
    """
    if get_language() == "en":
        return remark
    for pattern, message in _remarks():
        if match := pattern.fullmatch(remark):
            values = match.groupdict()
            for name in values.keys() & {"reason", "doubt"}:
                values[name] = remark_in_words(values[name])
            for name in values.keys() & {"singular", "record"}:
                kind, space, number = values[name].partition(" ")
                if kind in _RECORDS:
                    values[name] = gettext(_RECORDS[kind]) + space + number
            if "detail" in values:
                values["detail"] = localize_error(values["detail"])
            if "details" in values:  # each with the pointer of its field before it
                details = (detail.partition(" ") for detail in values["details"].split("; "))
                values["details"] = "; ".join(
                    f"{pointer} {localize_error(detail)}" for pointer, _space, detail in details
                )
            return gettext(message) % values
    return remark


def is_known(detail: str) -> bool:
    """Return whether a message matches a pattern."""
    plain = detail.removesuffix(_OR_NULL)
    return any(pattern.fullmatch(plain) for pattern, _message in _patterns())


def localize_error(detail: object) -> str:
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
    text = str(capfirst(localize_error(detail)))
    return text if text.endswith((".", "!", "?")) else f"{text}."
