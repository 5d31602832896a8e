"""Settings, read from the environment and from `.env` in the home folder (docs/configure.md).

Every setting has a default that is safe and works in a fresh installation.
"""

import ipaddress
import math
import os
import re
import sys
from typing import Any

from csp.constants import NONCE, NONE, SELF
from django.core.exceptions import ImproperlyConfigured

from neuralflow.environment import Environment
from neuralflow.home import home_folder
from neuralflow.logging_config import logging_config
from neuralflow.secret_key import read_or_make_secret_key

BASE_DIR = home_folder()

env = Environment()
env.str("NEURALFLOW_HOME", default="")  # read by `home_folder`
if (BASE_DIR / ".env").is_file():
    env.read_env(BASE_DIR / ".env")  # the environment takes precedence

# Server


def _port(text: str) -> int:
    """Return the port number. 0 lets the kernel choose one."""
    if not text.isdecimal() or int(text) > 65_535:
        raise ImproperlyConfigured(f"PORT must be a number from 0 to 65535, not {text!r}.")
    return int(text)


HOST: str = env.str("HOST", default="127.0.0.1").strip()
PORT: int = _port(env.str("PORT", default="8000"))


def _workers(text: str) -> int:
    """Return the number of worker processes: by default the number of available processors."""
    if not text:
        return max(2, min(len(os.sched_getaffinity(0)), WORKERS_DEFAULT_MAX))
    if not re.fullmatch(r"[1-9][0-9]{0,2}", text, re.ASCII):
        raise ImproperlyConfigured(f"WEB_CONCURRENCY must be a number from 1 to 999, not {text!r}.")
    return int(text)


WORKERS_DEFAULT_MAX = 16  # each takes about 100 MB and its own cache
WORKERS: int = _workers(env.str("WEB_CONCURRENCY", default="").strip())
DEBUG: bool = env.bool("NEURALFLOW_DEBUG", default=False)


def _default_hosts(host: str) -> list[str]:
    """Return the names of the local machine, and the bind address unless it is a wildcard."""
    names = ["localhost", "127.0.0.1", "[::1]"]
    name = f"[{host}]" if ":" in host else host
    if host not in {"", "0.0.0.0", "::"} and name not in names:
        names.append(name)
    return names


ALLOWED_HOSTS: list[str] = env.list("NEURALFLOW_ALLOWED_HOSTS", default=_default_hosts(HOST))


def _store_in(database_url: str) -> str:
    """Return the URL of a store in the database of the accounts."""
    scheme, _, rest = database_url.partition("://")
    if scheme not in {"postgres", "postgresql", "psql", "pgsql"}:
        raise ImproperlyConfigured(
            "NEURALFLOW_STORE=database needs a DATABASE_URL such as postgres://user:password@host/name."
        )
    return f"postgres://{rest}"


def _networks(
    texts: list[str],
) -> tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]:
    try:
        return tuple(ipaddress.ip_network(text, strict=False) for text in texts)
    except ValueError as fault:
        raise ImproperlyConfigured(f"NEURALFLOW_TRUSTED_PROXIES: {fault}") from fault


_PUBLIC_URL = r"https?://([A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?"


def _public_url(text: str) -> str:
    """Return the base URL for links in mail, without a trailing slash, or "" if not set."""
    url = text.strip().rstrip("/")
    if url and not re.fullmatch(_PUBLIC_URL, url):
        raise ImproperlyConfigured(
            "NEURALFLOW_PUBLIC_URL must be a scheme and a host such as"
            f" https://neuralflow.example.com, without a path, not {text!r}."
        )
    return url


# The public base URL, for links in mail and in security.txt.
NEURALFLOW_PUBLIC_URL = _public_url(env.str("NEURALFLOW_PUBLIC_URL", default=""))

# The proxies whose X-Forwarded-For and X-Forwarded-Proto are trusted.
NEURALFLOW_TRUSTED_PROXIES = _networks(env.list("NEURALFLOW_TRUSTED_PROXIES", default=[]))

ROOT_URLCONF = "neuralflow.urls"
WSGI_APPLICATION = "neuralflow.wsgi.application"

# Storage, and limits of accounts and calls

NEURALFLOW_STORE: str = env.str("NEURALFLOW_STORE", default=(BASE_DIR / "data").as_uri())
if NEURALFLOW_STORE == "database":
    NEURALFLOW_STORE = _store_in(env.str("DATABASE_URL", default=""))


def _bytes(name: str, text: str) -> int:
    """Return a number of bytes, such as 1500000, 64M or 1G, with binary units (1K = 1024)."""
    match = re.fullmatch(r"([0-9]{1,15})([KMGT]?)", text.strip().upper(), re.ASCII)
    if not match:
        raise ImproperlyConfigured(f"{name} must be a number of bytes such as 64M, not {text!r}.")
    return int(match[1]) << (10 * " KMGT".index(match[2] or " "))


def _days(name: str, text: str) -> float:
    """Return a number of days, 0 or more, with fractions."""
    try:
        days = float(text)
    except ValueError:
        days = math.nan
    if not 0 <= days <= 36_500:  # a century
        raise ImproperlyConfigured(f"{name} must be a number of days from 0, not {text!r}.")
    return days


# Retention of published journal segments, by age and by size.
NEURALFLOW_HISTORY_DAYS = _days(
    "NEURALFLOW_HISTORY_DAYS", env.str("NEURALFLOW_HISTORY_DAYS", default="30")
)
NEURALFLOW_HISTORY_BYTES = _bytes(
    "NEURALFLOW_HISTORY_BYTES", env.str("NEURALFLOW_HISTORY_BYTES", default="1G")
)
# Sign-up policy: open, by a link from `manage.py invite`, or closed.
# Where backups go: a folder, below the data folder if relative, or s3://bucket/prefix.
NEURALFLOW_BACKUPS: str = env.str("NEURALFLOW_BACKUPS", default="")
NEURALFLOW_BACKUP_RECIPIENTS: list[str] = env.list("NEURALFLOW_BACKUP_RECIPIENTS", default=[])
NEURALFLOW_BACKUP_IDENTITY: str = env.str("NEURALFLOW_BACKUP_IDENTITY", default="")

NEURALFLOW_SIGNUP = env.str("NEURALFLOW_SIGNUP", default="open").strip().lower()
if NEURALFLOW_SIGNUP not in {"open", "invite", "closed"}:
    raise ImproperlyConfigured(
        f"NEURALFLOW_SIGNUP must be open, invite or closed, not {NEURALFLOW_SIGNUP!r}."
    )
# Sign-ups per hour on the web pages from one client network. 0 means no limit.
NEURALFLOW_SIGNUPS_PER_HOUR = env.int("NEURALFLOW_SIGNUPS_PER_HOUR", default=60)
# With NEURALFLOW_SIGNUP=invite, how many people each member may invite per day. 0 means none.
NEURALFLOW_SIGNUP_INVITATIONS_PER_DAY = env.int("NEURALFLOW_SIGNUP_INVITATIONS_PER_DAY", default=3)
# Bytes of one user's files. 0 means no limit.
NEURALFLOW_STORAGE_BYTES = _bytes(
    "NEURALFLOW_STORAGE_BYTES", env.str("NEURALFLOW_STORAGE_BYTES", default="256M")
)
# Bytes of an uploaded archive.
NEURALFLOW_IMPORT_BYTES = _bytes(
    "NEURALFLOW_IMPORT_BYTES", env.str("NEURALFLOW_IMPORT_BYTES", default="32M")
)
# Bytes of files that each process caches as parsed documents.
NEURALFLOW_CACHE_BYTES = _bytes(
    "NEURALFLOW_CACHE_BYTES", env.str("NEURALFLOW_CACHE_BYTES", default="64M")
)


def _burst(text: str) -> tuple[int, int]:
    """Return calls and seconds of a limit such as 600/60."""
    match = re.fullmatch(r"([0-9]{1,9})/([0-9]{1,6})", text.strip(), re.ASCII)
    if not match or not int(match[1]) or not int(match[2]):
        raise ImproperlyConfigured(
            f"NEURALFLOW_BURST must be calls per seconds such as 600/60, not {text!r}."
        )
    return int(match[1]), int(match[2])


# If true, the API refuses changes without a precondition (If-Match) with 428.
NEURALFLOW_REQUIRE_IF_MATCH: bool = env.bool("NEURALFLOW_REQUIRE_IF_MATCH", default=False)

# Rate limit per user: the burst of calls, and the seconds until a used-up burst is full again.
NEURALFLOW_BURST = _burst(env.str("NEURALFLOW_BURST", default="600/60"))


def _calls_limit(text: str) -> int | None:
    """Return the API calls per hour, or None if each account has its own limit."""
    if not text.strip():
        return None
    if not re.fullmatch(r"[0-9]{1,15}", text.strip(), re.ASCII):
        raise ImproperlyConfigured(
            "NEURALFLOW_API_CALLS_LIMIT must be a number of calls an hour, or 0 for no limit,"
            f" not {text!r}."
        )
    return int(text)


def _number(name: str, text: str, most: int) -> int:
    if not re.fullmatch(r"[0-9]{1,9}", text.strip(), re.ASCII) or int(text) > most:
        raise ImproperlyConfigured(f"{name} must be a number from 0 to {most}, not {text!r}.")
    return int(text)


# Retention of a user's activities, by age and by number.
NEURALFLOW_ACTIVITY_DAYS = _days(
    "NEURALFLOW_ACTIVITY_DAYS", env.str("NEURALFLOW_ACTIVITY_DAYS", default="365")
)
NEURALFLOW_ACTIVITY_MAX = _number(
    "NEURALFLOW_ACTIVITY_MAX", env.str("NEURALFLOW_ACTIVITY_MAX", default="5000"), 100_000
)


# Maintenance that the server runs by itself, and the local time at which daily jobs start.
NEURALFLOW_MAINTENANCE: bool = env.bool("NEURALFLOW_MAINTENANCE", default=True)
NEURALFLOW_MAINTENANCE_AT: str = env.str("NEURALFLOW_MAINTENANCE_AT", default="03:30").strip()
if not re.fullmatch(r"([01][0-9]|2[0-3]):[0-5][0-9]", NEURALFLOW_MAINTENANCE_AT, re.ASCII):
    raise ImproperlyConfigured(
        "NEURALFLOW_MAINTENANCE_AT must be a time of the day such as 03:30, not"
        f" {NEURALFLOW_MAINTENANCE_AT!r}."
    )


def _backups_to_keep(text: str) -> dict[str, int]:
    """Return how many hourly, daily, weekly and monthly backups to retain."""
    counts = dict.fromkeys(("hourly", "daily", "weekly", "monthly"), 0)
    for part in filter(None, (part.strip() for part in text.split(","))):
        match = re.fullmatch(r"(hourly|daily|weekly|monthly)=([0-9]{1,4})", part, re.ASCII)
        if not match:
            raise ImproperlyConfigured(
                "NEURALFLOW_BACKUP_KEEP must be counts such as daily=7,weekly=4,monthly=12, not"
                f" {text!r}."
            )
        counts[match[1]] = int(match[2])
    return counts


# Retention of backups. If all counts are 0, no backup is deleted. With hourly ones, each hour makes
# a backup; otherwise each night does.
NEURALFLOW_BACKUP_KEEP = _backups_to_keep(
    env.str("NEURALFLOW_BACKUP_KEEP", default="daily=7,weekly=4,monthly=12")
)
# Days until drafts, torn tails and set-aside versions of files are removed.
NEURALFLOW_LEFTOVER_DAYS = _days(
    "NEURALFLOW_LEFTOVER_DAYS", env.str("NEURALFLOW_LEFTOVER_DAYS", default="90")
)
# Days in which all documents are read and checked once.
NEURALFLOW_SCRUB_DAYS = _number(
    "NEURALFLOW_SCRUB_DAYS", env.str("NEURALFLOW_SCRUB_DAYS", default="7"), 366
)


def _token(text: str) -> str:
    """Return the token of /metrics and /healthz, or "" if only staff may read them."""
    if text and not re.fullmatch(r"[!-~]{16,512}", text):
        raise ImproperlyConfigured(
            "NEURALFLOW_METRICS_TOKEN must have 16 to 512 characters without spaces; make one with"
            " `openssl rand -hex 32`."
        )
    return text


# The bearer token of Prometheus and other watchers. Without it, only staff may read the figures.
NEURALFLOW_METRICS_TOKEN = _token(env.str("NEURALFLOW_METRICS_TOKEN", default="").strip())

# API calls per hour and account. 0 means no limit, None the limit of each account.
NEURALFLOW_API_CALLS_LIMIT = _calls_limit(env.str("NEURALFLOW_API_CALLS_LIMIT", default=""))

DATABASES: dict[str, dict[str, Any]] = {
    "default": env.db_url("DATABASE_URL")
    if env.str("DATABASE_URL", default="")
    else {"ENGINE": "django.db.backends.sqlite3", "NAME": str(BASE_DIR / "db.sqlite3")}
}
DATABASES["default"].setdefault("CONN_MAX_AGE", 60)
DATABASES["default"].setdefault("CONN_HEALTH_CHECKS", True)
if DATABASES["default"]["ENGINE"] == "django.db.backends.sqlite3":
    DATABASES["default"].setdefault("OPTIONS", {}).update(
        {
            # Without this, a transaction that reads before it writes fails at once with
            # "database is locked" instead of waiting for the write lock.
            "transaction_mode": "IMMEDIATE",
            "timeout": 20,  # seconds
            # Without FULL, a power cut could lose an acknowledged account in WAL mode.
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;",
        }
    )
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# In the database, so that all processes share the cache and it survives restarts.
CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.db.DatabaseCache",
        "LOCATION": "neuralflow_cache",
        # With Django's default of 300 entries, an attacker could fill the cache and so evict
        # the limits that count against them: Django then drops a third of all entries.
        "OPTIONS": {"MAX_ENTRIES": 100_000},
    }
}

# Apps and middleware

INSTALLED_APPS = [
    "whitenoise.runserver_nostatic",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    # After django.contrib.auth, which records the time of a log-in that accounts then mirrors.
    # Before allauth, as our templates override its own.
    "accounts",
    "api",
    "web",
    "core",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "accounts.apps.ListedSessionsConfig",  # allauth.usersessions
    "csp",
    "django_htmx",
]

MIDDLEWARE = [
    # First: it answers probes whatever ALLOWED_HOSTS says, without a line in the log.
    "neuralflow.probes.ProbeMiddleware",
    "neuralflow.requests.RequestMiddleware",
    # Before all others: it sets the client's address and scheme, which the others read.
    "utils.middleware.JSONStorageMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "neuralflow.compression.PagesGZipMiddleware",
    "neuralflow.security_headers.HeadersMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "neuralflow.security_headers.PolicyMiddleware",
    "utils.middleware.RefusalMiddleware",
    # The middleware below is for pages. API calls with a token bypass it.
    "accounts.middleware.TokenCallMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "accounts.middleware.AccountsMiddleware",
    # Last: it needs the signed-in user, and AccountsMiddleware has ended expired sessions by then.
    "web.localization.LocalizationMiddleware",
]

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "csp.context_processors.nonce",
            ],
        },
    },
]

# Static files

STATIC_URL = "/static/"
STATIC_ROOT = BASE_DIR / "staticfiles"
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "neuralflow.static_storage.CollectedOrPlainStorage"},
}
WHITENOISE_ALLOW_ALL_ORIGINS = False  # other sites need none of our static files
WHITENOISE_USE_FINDERS = True  # serves files by plain names before `collectstatic` has run

# Accounts

AUTH_USER_MODEL = "accounts.User"
AUTHENTICATION_BACKENDS = ["accounts.backends.OneHashBackend"]
PASSWORD_HASHERS = [
    "accounts.hashers.Argon2idHasher",
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",  # hashes of imported accounts
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "accounts.validators.LengthValidator"},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
]
PASSWORD_RESET_TIMEOUT = 4 * 3600  # seconds
LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "dashboard"
LOGOUT_REDIRECT_URL = "home"

ACCOUNT_ADAPTER = "accounts.adapter.AccountAdapter"
ACCOUNT_LOGIN_METHODS = {"username", "email"}
ACCOUNT_SIGNUP_FIELDS = ["username*", "email*", "password1*", "password2*"]
ACCOUNT_FORMS = {
    "signup": "accounts.addresses.SignUpForm",
    "reset_password": "accounts.addresses.ResetForm",
    "confirm_email_verification_code": "accounts.addresses.CodeForm",
}
ACCOUNT_UNIQUE_EMAIL = True  # for verified addresses only; see accounts/addresses.py
ACCOUNT_CHANGE_EMAIL = True  # one address per account
# accounts.guards limits failed attempts instead of allauth, whose count for a client address is
# reset by any user's successful second factor. Its other limits let users of the same network, or
# a stolen session, lock an account out. Mailed codes are limited by recipient.
ACCOUNT_RATE_LIMITS: dict[str, str | None] = {
    "login_failed": None,
    "login": None,
    "reauthenticate": None,
    "change_password": None,
    "confirm_email": "5/10m/key",
    "reset_password": "20/m/ip,5/10m/key",
}
# "strict": a sign-up does not reveal whether an address is in use.
ACCOUNT_PREVENT_ENUMERATION = "strict"

MFA_ADAPTER = "accounts.mfa.SecondFactorAdapter"
MFA_FORMS = {
    "authenticate": "accounts.mfa.AuthenticateForm",
    "reauthenticate": "accounts.mfa.ReauthenticateForm",
    "activate_totp": "accounts.mfa.ActivateForm",
}
MFA_ALLOW_UNVERIFIED_EMAIL = True
MFA_RECOVERY_CODE_DIGITS = 10  # 33 bits each
MFA_RECOVERY_CODES_SHOW_ONCE = True
MFA_TOTP_ISSUER = "NeuralFlow"
MFA_TOTP_TOLERANCE = 1  # steps of 30 seconds, either side: RFC 6238, 5.2

SESSION_ENGINE = "accounts.session_store"
# The longest time a session may be idle, and may last in total.
NEURALFLOW_SESSION_IDLE_DAYS = _days(
    "NEURALFLOW_SESSION_IDLE_DAYS", env.str("NEURALFLOW_SESSION_IDLE_DAYS", default="1")
)
SESSION_COOKIE_AGE = round(
    86_400 * _days("NEURALFLOW_SESSION_DAYS", env.str("NEURALFLOW_SESSION_DAYS", default="14"))
)

# No mail is sent until EMAIL_URL names a server. The default is not the console, because anyone
# who can read a service's log could use the password-reset links in it.
vars().update(env.email_url("EMAIL_URL", default="dummymail://"))
# django-environ strips the leading slash. Without it, mail would go to the working directory.
EMAIL_FILE_PATH: str = f"/{vars()['EMAIL_FILE_PATH']}"
# True if mail reaches users. Only then can an address be verified and used to log in. The console
# counts as none: password-reset links must not reach a service's log.
NEURALFLOW_SENDS_MAIL: bool = vars()["EMAIL_BACKEND"].rpartition(".")[0] not in {
    "django.core.mail.backends.console",
    "django.core.mail.backends.dummy",
}
# By code, not by link: a recipient who clicks the link would verify their address for the account
# of the attacker who entered it.
ACCOUNT_EMAIL_VERIFICATION = "mandatory" if NEURALFLOW_SENDS_MAIL else "none"
ACCOUNT_EMAIL_VERIFICATION_BY_CODE_ENABLED = NEURALFLOW_SENDS_MAIL
ACCOUNT_EMAIL_VERIFICATION_BY_CODE_TIMEOUT = 600  # seconds
ACCOUNT_EMAIL_VERIFICATION_SUPPORTS_RESEND = True
DEFAULT_FROM_EMAIL: str = env.str("DEFAULT_FROM_EMAIL", default="neuralflow@localhost")
ACCOUNT_EMAIL_SUBJECT_PREFIX = "[NeuralFlow] "

# Security

SECRET_KEY: str = env.str("NEURALFLOW_SECRET_KEY", default="") or read_or_make_secret_key(
    BASE_DIR / ".secret_key"
)

# True if clients reach the server over TLS only. Cookies then require TLS.
HTTPS: bool = env.bool("NEURALFLOW_HTTPS", default=False)
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = HTTPS
SECURE_HSTS_SECONDS = 31_536_000 if HTTPS else 0  # a year
SECURE_HSTS_INCLUDE_SUBDOMAINS = HTTPS
# Off by default: removal from the browsers' preload lists takes months, so the domain's owner
# decides.
SECURE_HSTS_PRELOAD: bool = env.bool("NEURALFLOW_HSTS_PRELOAD", default=False)
SILENCED_SYSTEM_CHECKS = ["security.W021"]  # warns that preload is off
SECURE_SSL_REDIRECT = HTTPS
# The API refuses calls without TLS (api/endpoint.py): a redirect would hide that a token was
# sent in the clear. The API's manual is a page, and redirects.
SECURE_REDIRECT_EXEMPT = ["^accounts/api/(?!docs/$)"]
# With this prefix, browsers accept a cookie over TLS only, from this host, and with path "/".
_PREFIX = "__Host-" if HTTPS else ""
SESSION_COOKIE_NAME = f"{_PREFIX}sessionid"
CSRF_COOKIE_NAME = f"{_PREFIX}csrftoken"
LANGUAGE_COOKIE_NAME = f"{_PREFIX}django_language"
NEURALFLOW_KNOWN_COOKIE_NAME = f"{_PREFIX}known"  # marks a browser that has logged in before
SESSION_COOKIE_HTTPONLY = CSRF_COOKIE_HTTPONLY = True
MESSAGE_STORAGE = "django.contrib.messages.storage.session.SessionStorage"  # no further cookie
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Lax"

SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [SELF],
        # An inline script needs the response's nonce: <script nonce="{{ CSP_NONCE }}">.
        "script-src": [SELF, NONCE],
        "img-src": [SELF, "data:"],
        "object-src": [NONE],
        "base-uri": [NONE],
        "frame-ancestors": [NONE],
        "form-action": [SELF],
        **({"upgrade-insecure-requests": True} if HTTPS else {}),
    }
}

DATA_UPLOAD_MAX_MEMORY_SIZE = 1024 * 1024  # bytes; also the API's limit for bodies
DATA_UPLOAD_MAX_NUMBER_FIELDS = 1000


def _contact(text: str) -> str:
    """Return a contact for security reports as a URI. Adds `mailto:` to a bare e-mail address."""
    uri = text if ":" in text else f"mailto:{text}"
    if not re.fullmatch(r"(mailto:[^\s@]+@[^\s@]+|https://\S+|tel:\+?[0-9-]+)", uri):
        raise ImproperlyConfigured(
            "NEURALFLOW_SECURITY_CONTACT must be e-mail addresses, https: or tel: addresses, "
            f"not {text!r}."
        )
    return uri


NEURALFLOW_SECURITY_CONTACT = [
    _contact(text) for text in env.list("NEURALFLOW_SECURITY_CONTACT", default=[])
]

# Language, time, logs

LANGUAGE_CODE = "en"
LANGUAGES = [("en", "English"), ("es", "Español")]  # each by its own name
USE_I18N = True
USE_TZ = True
TIME_ZONE = "UTC"

LOGGING = logging_config(
    level=env.str("NEURALFLOW_LOG_LEVEL", default="INFO").strip().upper(),
    for_people=sys.stderr.isatty(),
)

# If true, the server logs one line for each request.
NEURALFLOW_LOG_REQUESTS: bool = env.bool("NEURALFLOW_LOG_REQUESTS", default=True)

# Environment variables that look like misspelled settings, each with a suggestion.
NEURALFLOW_UNKNOWN_NAMES = env.unknown()
