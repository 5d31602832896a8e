"""Which limits count for an attempt to sign in, to prove who one is, or to give a code.

Start here to change what a guess costs. `accounts.throttle` keeps the counts.

Nobody can be locked out by strangers: a limit that refuses counts one browser, one session, or one
network. What strangers do from everywhere (at one name: guessing; at many: spraying) only makes
the limit of each network tighter, so that the first attempt from another network is looked at.
"""

import ipaddress
from typing import Final

from django.contrib.sessions.backends.base import SessionBase
from django.http import HttpRequest

from accounts.known_browsers import browser_of, knows_anybody, reset_session_of
from accounts.models import User
from accounts.session_store import row_key
from accounts.throttle import Attempt, Limit, TooManyAttempts, add, forget, is_used_up, subject_of

Count = tuple[Limit, str]

# Of one name, as it was typed, from one network.
HERE: Final = Limit("password-here", 5, 300)
# All failures from one network: one address of IPv4 or a /64 of IPv6, and larger ones.
ADDRESS: Final = Limit("address", 20, 300)
NETWORKS_4: Final = {24: Limit("address-24", 100, 300)}
NETWORKS_6: Final = {56: Limit("address-56", 40, 300), 48: Limit("address-48", 80, 300)}

# Failures of strangers from everywhere: these refuse nothing, but tighten the limits below.
NAME: Final = Limit("name", 100, 3600)
SITE: Final = Limit("site", 1000, 3600)
HERE_TIGHT: Final = Limit("password-here-tight", 2, 1800)
ADDRESS_TIGHT: Final = Limit("address-tight", 5, 1800)

# Of one account, from a browser that signed in to it before.
KNOWN: Final = Limit("password-known", 5, 300)
# Of one session: the password or a code, given again by who is signed in.
PROOF: Final = Limit("proof", 5, 300)
PROOF_DAY: Final = Limit("proof-day", 30, 86_400)
# Of one account's second factor, from browsers that never signed in to it; and from one that did.
CODES: Final = Limit("code", 5, 300)
CODES_DAY: Final = Limit("code-day", 20, 86_400)
CODES_KNOWN: Final = Limit("code-known", 5, 300)
CODES_KNOWN_DAY: Final = Limit("code-known-day", 20, 86_400)
# Wrong codes of an account that are not worth a mail; and how many mails.
CODES_UNNOTICED: Final = Limit("code-unnoticed", 3, 86_400)
CODES_NOTICE: Final = Limit("code-notice", 1, 86_400)
# Mails to one address that anybody can cause: past these, nothing is sent and nobody is told.
UNASKED_MAILS: Final = Limit("unasked mail", 2, 86_400)
# The same mails by the network that causes them: it could write to any number of addresses.
UNASKED_MAILS_FROM: Final = Limit("unasked mail from", 20, 3600)
# Mails with a code that one account causes, to whatever addresses; and those to one address.
CODE_MAILS: Final = Limit("code mail", 20, 86_400)
CODE_MAILS_TO: Final = Limit("code mail to", 48, 86_400)


class SignIn:
    """An attempt to sign in under a name, counted as wrong until `succeeded` or `not_made`.

    Raises `TooManyAttempts`.
    """

    def __init__(self, request: HttpRequest, name: str) -> None:
        self._request, self._subject = request, subject_of(name)
        self._by_stranger = False
        browser = _known_browser(request, name)
        if browser is not None:
            try:
                self._attempt = Attempt((KNOWN, browser))
                return
            except TooManyAttempts:
                pass  # whoever has the cookie may do what strangers may
        self._by_stranger = True
        self._attempt = Attempt(*self._counts_of_stranger())

    def _counts_of_stranger(self) -> list[Count]:
        here = f"{self._subject}|{address_of(self._request)}"
        counts = [(HERE, here), *networks_of(self._request)]
        if is_used_up(NAME, self._subject):
            counts.append((HERE_TIGHT, here))
        if is_used_up(SITE, ""):
            counts.append((ADDRESS_TIGHT, address_of(self._request)))
        return counts

    def failed(self) -> None:
        """The password was wrong."""
        if self._by_stranger:
            add(NAME, self._subject)
            add(SITE, "")

    def succeeded(self) -> None:
        """The password was right."""
        self._attempt.give_back()

    not_made = succeeded


def _known_browser(request: HttpRequest, name: str) -> str | None:
    """Return a subject for what is tried in this browser, if the name's account knows it."""
    if not name or not knows_anybody(request):
        return None
    user = User.objects.meant_by(name).first()
    if user is None:
        return None
    browser = browser_of(request, user) or reset_session_of(request, user)
    return browser and f"{user.pk}|{browser}"


def forget_failures(request: HttpRequest, user: User) -> None:
    """Let the user sign in from this network at once, under name and address."""
    for login in filter(None, (user.username, user.email)):
        here = f"{subject_of(login)}|{address_of(request)}"
        for limit in (HERE, HERE_TIGHT):
            forget(limit, here)


def proof(request: HttpRequest) -> Attempt:
    """An attempt of who is signed in to prove who they are. Raises `TooManyAttempts`."""
    subject = _session_of(request.session)
    return Attempt((PROOF, subject), (PROOF_DAY, subject))


def code(request: HttpRequest, user: User) -> Attempt:
    """An attempt to give a code of the second factor at a log-in. Raises `TooManyAttempts`."""
    browser = browser_of(request, user)
    if browser is not None:
        known = f"{user.pk}|{browser}"
        try:
            return Attempt((CODES_KNOWN, known), (CODES_KNOWN_DAY, known))
        except TooManyAttempts:
            pass
    account = str(user.pk)
    return Attempt((CODES, account), (CODES_DAY, account), *networks_of(request))


def is_worth_a_notice(user: User) -> bool:
    """Count a wrong code, and return whether its owner should hear of it by mail now."""
    account = str(user.pk)
    try:
        Attempt((CODES_UNNOTICED, account))
    except TooManyAttempts:
        try:
            Attempt((CODES_NOTICE, account))
        except TooManyAttempts:
            return False
        return True
    return False


def address_of(request: HttpRequest) -> str:
    """The address that failures are counted by; of IPv6 the /64 network."""
    text: str = getattr(request, "client_address", "")
    return _network(text, 64) if ":" in text else text


def networks_of(request: HttpRequest) -> list[Count]:
    """The counts of the address of a request, and of the networks that it is in."""
    text: str = getattr(request, "client_address", "")
    larger = (NETWORKS_6 if ":" in text else NETWORKS_4) if text else {}
    networks = [(limit, _network(text, prefix)) for prefix, limit in larger.items()]
    return [(ADDRESS, address_of(request)), *networks]


def _network(text: str, prefix: int) -> str:
    return str(ipaddress.ip_network(f"{text}/{prefix}", strict=False))


def _session_of(session: SessionBase) -> str:
    if session.session_key is None:
        session.save()
    return row_key(session.session_key or "")
