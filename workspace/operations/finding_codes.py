"""The code and the remedy of each finding, for programs and for people who read a report.

Findings come from the engine, the table of collections and the accounts, as sentences. This table
names their kinds; docs/troubleshoot.md explains each.
"""

from __future__ import annotations

import re
from typing import Any, Final, NamedTuple

from docstore import Finding

OTHER: Final = "other"


class Kind(NamedTuple):
    """A kind of finding: its code, the problems that belong to it, and the remedy."""

    code: str
    pattern: re.Pattern[str]
    remedy: str


def _kind(code: str, pattern: str, remedy: str) -> Kind:
    return Kind(code, re.compile(pattern), remedy)


_SYNC: Final = "Run setup_data --sync-users."
_REPAIR: Final = "Run setup_data --repair."
# The first that matches counts.
KINDS: Final = (
    _kind("damaged", r"differs from its checksum", _REPAIR),
    _kind("folder-missing", r"the (data )?folder is missing", "Run setup_data."),
    _kind("set-aside", r"is a version changed by hand", "Its owner uses or discards it."),
    _kind("torn-journal", r"is what a power cut left", "Remove the file."),
    _kind(
        "leftover",
        r"was left by a writer|is a draft that|is a backup that was not finished|is what a writer",
        "The next start or night removes it.",
    ),
    _kind("stray-file", r"is not a document|is not a file|is a link to", "Move it away."),
    _kind("no-account", r"has no account", "Run setup_data --adopt-users."),
    _kind("missing-document", r"is missing; account", _SYNC),
    _kind("deleted-account", r"is being deleted|was deleted, and has documents", _SYNC),
    _kind("other-person", r"is the document of", "See docs/install.md: import an older folder."),
    _kind("sharing", r"project .*(is shared with|is not shared with|names user)", _SYNC),
    _kind("member-twice", r"is named twice", "Remove one of the two member entries."),
    _kind("assignee", r'"assignee" is', "Set it to null, to the owner, or to a member."),
    _kind("account-differs", r"\"(username|email)\" differs", _SYNC),
    _kind("user-name", r"the user name", "Rename the account in /admin/."),
    _kind("id-too-large", r"the id must be at most", "Give the record another id."),
    _kind("id-taken", r"is taken by an earlier record", "Give one record an id above last_id."),
    _kind("id-missing", r'"id" is missing', "Give the record an id above all others."),
    _kind("owner", r'"user_id" is', "Write the number in the file's name."),
    _kind("reference", r"but there is no", "Set it to null, or to an existing record."),
    _kind(
        "counter",
        r'"(last_id|revision)" (is below|must be)',
        "Set last_id to the highest id; remove a revision that is not a number.",
    ),
    _kind("value", r"must be|is missing; it must|must not", "Correct the value."),
    _kind(
        "unreadable",
        r"xpect|nterminated|xtra data|twice|UTF-8|delimiter|control character|nvalid"
        r"|cannot be read|cannot be merged"
        r"|is not JSON|is empty|must begin|too deep|is gone|has revision|journal goes on",
        _REPAIR,
    ),
)


def kind_of(finding: Finding) -> tuple[str, str]:
    """Return code and remedy of a finding."""
    for kind in KINDS:
        if kind.pattern.search(finding.problem):
            return kind.code, kind.remedy
    return OTHER, "See docs/troubleshoot.md."


def described(finding: Finding) -> dict[str, Any]:
    """Return a finding with its code and remedy."""
    code, remedy = kind_of(finding)
    return {
        "code": code,
        "document": finding.document,
        "line": finding.line,
        "column": finding.column,
        "problem": finding.problem,
        "remedy": remedy,
    }
