from typing import Any

from django.db import migrations, models

import accounts.names
from workspace.texts import folded_name


def fold(apps: Any, schema_editor: Any) -> None:
    """Give each account its folded name; of several with the same one, the oldest account."""
    people = apps.get_model("accounts", "User")._base_manager.using(schema_editor.connection.alias)
    taken: set[str] = set()
    for pk, username in people.order_by("pk").values_list("pk", "username"):
        key = folded_name(username)
        if key not in taken:
            taken.add(key)
            people.filter(pk=pk).update(name_key=key)


class Migration(migrations.Migration):
    dependencies = [("accounts", "0004_former_accounts")]

    operations = [
        migrations.AlterField(
            model_name="user",
            name="username",
            field=models.CharField(
                error_messages={"unique": "A user with that username already exists."},
                help_text="Letters, digits, and . + - _ only.",
                max_length=150,
                unique=True,
                validators=[accounts.names.validate_name],
                verbose_name="username",
            ),
        ),
        migrations.AddField(
            model_name="user",
            name="name_key",
            field=accounts.names.NameKeyField(editable=False, max_length=2700, null=True),
        ),
        migrations.RunPython(fold, migrations.RunPython.noop),
        migrations.AddConstraint(
            model_name="user",
            constraint=models.UniqueConstraint(
                fields=("name_key",),
                name="accounts_name_key_unique",
                violation_error_message="A user with that username already exists.",
            ),
        ),
    ]
