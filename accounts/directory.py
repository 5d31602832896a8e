"""The accounts, as the domain sees them."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from django.db import DatabaseError

from accounts.deletion import delete_user
from accounts.import_accounts import account_from
from accounts.models import User
from docstore import DocumentReport
from workspace.installation import AccountsUnavailable, UserDocuments


class DjangoAccounts:
    """The `AccountDirectory` of the database."""

    def find(self, user_id: int) -> User | None:
        return User.objects.filter(pk=user_id).first()

    def exists(self, user_id: int) -> bool:
        try:
            return User.objects.filter(pk=user_id).exists()
        except DatabaseError:
            return False

    def find_active(self, name: str) -> tuple[int, str] | None:
        users = User.objects
        user = users.with_proved(name) if "@" in name else users.meant_by(name).first()
        return (user.pk, user.get_username()) if user is not None and user.is_active else None

    def identity(self, user_id: int) -> dict[str, Any] | None:
        try:
            row = User.objects.filter(pk=user_id).values("username", "email").first()
        except DatabaseError as fault:
            raise AccountsUnavailable(str(fault)) from fault
        return dict(row) if row else None

    def names(self, ids: Collection[int]) -> dict[int, str]:
        return dict(User.objects.filter(pk__in=ids).values_list("pk", "username"))

    def count(self) -> tuple[int, int]:
        users = User.objects.all()
        return users.count(), users.filter(mirror_faults__gt=0).count()

    def from_document(
        self, examined: DocumentReport, owner: int, taken_names: set[str], taken_emails: set[str]
    ) -> User | None:
        return account_from(examined, owner, taken_names, taken_emails)

    def delete(self, documents: UserDocuments, account: Any) -> dict[str, Any]:
        return delete_user(documents, account)
