"""Rate limits of attempts to log in, to reauthenticate, and to enter a code.

Start here to change the limits. `accounts.throttle` stores the counts.

Strangers cannot lock a user out: each limit that refuses attempts is per browser, session, network
or, for codes, account. Failures from all networks (guessing one name, spraying many) only tighten
the limits of each network, so the first attempt from another network is still accepted.
"""

import ipaddress
from typing import Final

from django.contrib.sessions.backends.base import SessionBase
from django.http import HttpRequest

from accounts.known_browsers import browser_of, knows_anybody, reset_session_of
from accounts.models import User
from accounts.session_store import row_key
from accounts.throttle import Attempt, Limit, TooManyAttempts, add, forget, is_used_up, subject_of
from utils.middleware import client_network

Count = tuple[Limit, str]

# Failures for one name, as typed, from one network.
HERE: Final = Limit("password-here", 5, 300)
# All failures from one IPv4 address or IPv6 /64 network, and from larger networks.
ADDRESS: Final = Limit("address", 20, 300)
NETWORKS_4: Final = {24: Limit("address-24", 100, 300)}
NETWORKS_6: Final = {56: Limit("address-56", 40, 300), 48: Limit("address-48", 80, 300)}

# Failures from unknown browsers in all networks. Past NAME or SITE, the tight limits apply, too.
NAME: Final = Limit("name", 100, 3600)
SITE: Final = Limit("site", 1000, 3600)
HERE_TIGHT: Final = Limit("password-here-tight", 2, 1800)
ADDRESS_TIGHT: Final = Limit("address-tight", 5, 1800)

# Failures for one account from a browser that logged in to it before.
KNOWN: Final = Limit("password-known", 5, 300)
# Failed reauthentications of one session, by password or code.
PROOF: Final = Limit("proof", 5, 300)
PROOF_DAY: Final = Limit("proof-day", 30, 86_400)
# Wrong codes for one account, from all unknown browsers, and from each known one.
CODES: Final = Limit("code", 5, 300)
CODES_DAY: Final = Limit("code-day", 20, 86_400)
CODES_KNOWN: Final = Limit("code-known", 5, 300)
CODES_KNOWN_DAY: Final = Limit("code-known-day", 20, 86_400)
# Wrong codes of an account before a notice is mailed, and the notices per day.
CODES_UNNOTICED: Final = Limit("code-unnoticed", 3, 86_400)
CODES_NOTICE: Final = Limit("code-notice", 1, 86_400)
# Unsolicited mail to one address. Mail past the limit is dropped silently.
UNASKED_MAILS: Final = Limit("unasked mail", 2, 86_400)
# Unsolicited mail caused by one network, which could address any number of recipients.
UNASKED_MAILS_FROM: Final = Limit("unasked mail from", 20, 3600)
# Mailed codes by the account that requests them, and by recipient.
CODE_MAILS: Final = Limit("code mail", 20, 86_400)
CODE_MAILS_TO: Final = Limit("code mail to", 48, 86_400)

# Sign-ups of larger networks and of everybody, as multiples of those of one address.
SIGN_UPS_4: Final = {24: 4}
SIGN_UPS_6: Final = {56: 2, 48: 4}
SIGN_UPS_OF_ALL: Final = 100


class SignIn:
    """An attempt to log in, counted as a failure unless it `succeeded` or was `not_made`.

    Raises `TooManyAttempts` past a limit.
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
                pass  # past its own limit, a known browser has the limits of strangers
        self._by_stranger = True
        self._attempt = Attempt(*self._counts_of_stranger())

    def _counts_of_stranger(self) -> list[Count]:
        subject = f"{self._subject}|{address_of(self._request)}"
        counts = [(HERE, subject), *networks_of(self._request)]
        if is_used_up(NAME, self._subject):
            counts.append((HERE_TIGHT, subject))
        if is_used_up(SITE, ""):
            counts.append((ADDRESS_TIGHT, address_of(self._request)))
        return counts

    def failed(self) -> None:
        """Record that the password was wrong."""
        if self._by_stranger:
            add(NAME, self._subject)
            add(SITE, "")

    def succeeded(self) -> None:
        """Record that the password was right."""
        self._attempt.give_back()

    not_made = succeeded


def _known_browser(request: HttpRequest, name: str) -> str | None:
    """Return the subject of a browser known to the account with this name, or None."""
    if not name or not knows_anybody(request):
        return None
    user = User.objects.meant_by(name).first()
    if user is None:
        return None
    browser = browser_of(request, user) or reset_session_of(request, user)
    return browser and f"{user.pk}|{browser}"


def forget_failures(request: HttpRequest, user: User) -> None:
    """Reset the user's failures from this network, by name and by e-mail address."""
    for login in filter(None, (user.username, user.email)):
        subject = f"{subject_of(login)}|{address_of(request)}"
        for limit in (HERE, HERE_TIGHT):
            forget(limit, subject)


def proof(request: HttpRequest) -> Attempt:
    """Count an attempt to reauthenticate in this session. Raises `TooManyAttempts`."""
    subject = _session_of(request.session)
    return Attempt((PROOF, subject), (PROOF_DAY, subject))


def code(request: HttpRequest, user: User) -> Attempt:
    """Count an attempt to enter a code of the second factor. Raises `TooManyAttempts`."""
    browser = browser_of(request, user)
    if browser is not None:
        known = f"{user.pk}|{browser}"
        try:
            return Attempt((CODES_KNOWN, known), (CODES_KNOWN_DAY, known))
        except TooManyAttempts:
            pass
    account = str(user.pk)
    return Attempt((CODES, account), (CODES_DAY, account), *networks_of(request))


def sign_up(request: HttpRequest, most: int) -> Attempt:
    """Count a sign-up: `most` an hour from one address, or from an IPv6 /64 network.

    The bound of all networks together is much higher. Otherwise a stranger could close the sign-up
    for everybody. Raises `TooManyAttempts`.
    """
    text: str = getattr(request, "client_address", "")
    larger = (SIGN_UPS_6 if ":" in text else SIGN_UPS_4) if text else {}
    networks = [
        (Limit(f"sign-up-{prefix}", most * factor, 3600), _network(text, prefix))
        for prefix, factor in larger.items()
    ]
    return Attempt(
        (Limit("sign-up", most, 3600), address_of(request)),
        *networks,
        (Limit("sign-up-all", most * SIGN_UPS_OF_ALL, 3600), ""),
    )


def is_worth_a_notice(user: User) -> bool:
    """Count a wrong code. Return whether to mail the account's owner a notice now."""
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
    """Return the client's IPv4 address or IPv6 /64 network, or "" if it is unknown."""
    return client_network(getattr(request, "client_address", ""))


def networks_of(request: HttpRequest) -> list[Count]:
    """Return limits and subjects for the client's address and the networks that contain it."""
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
