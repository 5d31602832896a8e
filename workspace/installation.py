"""The installation in which the domain runs: its accounts, limits and time zone.

The domain knows neither Django nor the settings. The application hands these in at its start
(`utils.json_storage`, `accounts.apps`). Without an application there are no accounts, and the
limits are the defaults.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from datetime import UTC, tzinfo
from typing import Any, Protocol

from backups.accounts import Accounts
from docstore import DocumentReport


class Limits(Protocol):
    """The limits of the installation, as its settings say at this moment."""

    @property
    def burst(self) -> tuple[int, int]:
        """Calls, and the seconds in which a used-up burst is full again."""

    @property
    def api_calls(self) -> int | None:
        """API calls per hour and account, 0 for no limit, None for the limit of each account."""

    @property
    def activity_days(self) -> float:
        """Days for which activities are retained."""

    @property
    def activity_max(self) -> int:
        """Activities retained per user."""

    @property
    def storage_bytes(self) -> int:
        """Bytes of one user's files, 0 for no limit."""

    @property
    def history_bytes(self) -> int:
        """Bytes of the journal's history."""


@dataclass(frozen=True)
class DefaultLimits:
    """The limits without settings."""

    burst: tuple[int, int] = (600, 60)
    api_calls: int | None = None
    activity_days: float = 365
    activity_max: int = 5_000
    storage_bytes: int = 256 * 1024**2
    history_bytes: int = 1024**3


@dataclass(frozen=True)
class BackupOptions:
    """The target and the contents of backups.

    `place` is a folder, below the data folder if relative, or an `s3://` URL. Backups are encrypted
    to the age `recipients`, if any, and read with the identities in the file `identity`. `accounts`
    is the database to back up, None for no accounts.
    """

    place: str = "backups"
    recipients: tuple[str, ...] = ()
    identity: str = ""
    accounts: Accounts | None = None


class AccountsUnavailable(Exception):
    """The accounts cannot be read at this moment."""


class UserDocuments(Protocol):
    """The documents of users, as the deletion of an account needs them."""

    def delete_user_documents(self, user_id: int) -> dict[str, Any]:
        """Delete all documents of a user."""

    def get_user_data(self, user_id: int) -> dict[str, Any] | None:
        """Return the user document, or None."""


class AccountDirectory(Protocol):
    """The accounts of the installation."""

    def find(self, user_id: int) -> Any | None:
        """Return the account with this id, or None."""

    def exists(self, user_id: int) -> bool:
        """Return whether there is an account with this id. False if accounts are unavailable."""

    def find_active(self, name: str) -> tuple[int, str] | None:
        """Return (id, name) of the only active account with this name or proved address."""

    def identity(self, user_id: int) -> dict[str, Any] | None:
        """Return `username` and `email` of the account, or None if there is none.

        Raises `AccountsUnavailable`.
        """

    def names(self, ids: Collection[int]) -> dict[int, str]:
        """Return the user names of these accounts by id."""

    def count(self) -> tuple[int, int]:
        """Return the number of accounts, and of those whose documents are out of date."""

    def from_document(
        self, examined: DocumentReport, owner: int, taken_names: set[str], taken_emails: set[str]
    ) -> Any | None:
        """Return an unsaved account for a user document, or None with the reasons in `examined`."""

    def delete(self, documents: UserDocuments, account: Any) -> dict[str, Any]:
        """Delete an account with its documents, and return counts of what was deleted."""


class NoAccounts:
    """The directory of a store without accounts."""

    def find(self, user_id: int) -> Any | None:
        return None

    def exists(self, user_id: int) -> bool:
        return False

    def find_active(self, name: str) -> tuple[int, str] | None:
        return None

    def identity(self, user_id: int) -> dict[str, Any] | None:
        return None

    def names(self, ids: Collection[int]) -> dict[int, str]:
        return {}

    def count(self) -> tuple[int, int]:
        return 0, 0

    def from_document(
        self, examined: DocumentReport, owner: int, taken_names: set[str], taken_emails: set[str]
    ) -> Any | None:
        return None

    def delete(self, documents: UserDocuments, account: Any) -> dict[str, Any]:
        return {}


class InvitedAddresses(Protocol):
    """Invitations to e-mail addresses. `accounts.invited_addresses` describes each function."""

    def address_in(self, text: str) -> str | None: ...
    def can_be_proved(self) -> bool: ...
    def noted(self, address: str, owner: int, project_id: int) -> AbstractContextManager[int]: ...
    def forget(self, number: int) -> None: ...
    def rows_to_check(self, owner: int, address: str) -> list[Any]: ...
    def rows_for(self, person: int, known: Collection[int] = ()) -> list[Any]: ...
    def may_wait_for(self, person: int) -> bool: ...
    def row_for(self, person: int, number: int) -> Any | None: ...
    def decline(self, number: int) -> None: ...
    def refuse_inviter(self, person: int, inviter: int) -> None: ...
    def allow_inviter(self, person: int, inviter: int) -> None: ...
    def refused_inviters(self, person: int) -> list[int]: ...
    def is_refused(self, person: int, inviter: int) -> bool: ...


class NoInvitedAddresses:
    """No addresses, in a store without accounts."""

    def address_in(self, text: str) -> str | None:
        return None

    def can_be_proved(self) -> bool:
        return False

    def noted(self, address: str, owner: int, project_id: int) -> AbstractContextManager[int]:
        return nullcontext(0)

    def forget(self, number: int) -> None:
        pass

    def rows_to_check(self, owner: int, address: str) -> list[Any]:
        return []

    def rows_for(self, person: int, known: Collection[int] = ()) -> list[Any]:
        return []

    def may_wait_for(self, person: int) -> bool:
        return False

    def row_for(self, person: int, number: int) -> Any | None:
        return None

    def decline(self, number: int) -> None:
        pass

    def refuse_inviter(self, person: int, inviter: int) -> None:
        pass

    def allow_inviter(self, person: int, inviter: int) -> None:
        pass

    def refused_inviters(self, person: int) -> list[int]:
        return []

    def is_refused(self, person: int, inviter: int) -> bool:
        return False


@dataclass
class Installation:
    """The services that the application hands in. `time_zone` returns the zone of the page."""

    accounts: AccountDirectory = field(default_factory=NoAccounts)
    addresses: InvitedAddresses = field(default_factory=NoInvitedAddresses)
    limits: Limits = field(default_factory=DefaultLimits)
    time_zone: Callable[[], tzinfo] = lambda: UTC
    backups: Callable[[], BackupOptions] = BackupOptions


installation = Installation()
