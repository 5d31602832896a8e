from typing import Any

from django.db import migrations
from django.utils import timezone

from accounts.session_store import row_key


def store_digests(apps: Any, schema_editor: Any) -> None:
    """Store each session under the digest of its key: whoever is signed in, stays so."""
    alias = schema_editor.connection.alias
    sessions = apps.get_model("sessions", "Session").objects.using(alias)
    listed = apps.get_model("usersessions", "UserSession").objects.using(alias)
    sessions.filter(expire_date__lt=timezone.now()).delete()
    for rows in (sessions, listed):
        for key in list(rows.values_list("session_key", flat=True)):
            rows.filter(session_key=key).update(session_key=row_key(key))


def end_all(apps: Any, schema_editor: Any) -> None:
    """The keys cannot be had from their digests: everybody signs in again."""
    alias = schema_editor.connection.alias
    apps.get_model("sessions", "Session").objects.using(alias).all().delete()
    apps.get_model("usersessions", "UserSession").objects.using(alias).all().delete()


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0005_name_keys"),
        ("sessions", "0001_initial"),
        ("usersessions", "0001_initial"),
    ]

    operations = [migrations.RunPython(store_digests, end_all)]
