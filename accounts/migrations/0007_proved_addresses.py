from typing import Any

from django.db import migrations, models


def keep_log_in_by_address(apps: Any, schema_editor: Any) -> None:
    """Let accounts from before addresses were proved go on logging in by theirs."""
    people = apps.get_model("accounts", "User")._base_manager.using(schema_editor.connection.alias)
    people.exclude(email="").update(email_status="legacy")


class Migration(migrations.Migration):
    dependencies = [("accounts", "0006_session_digests")]

    operations = [
        migrations.RemoveConstraint(model_name="user", name="accounts_email_unique"),
        migrations.AddField(
            model_name="user",
            name="email_status",
            field=models.CharField(
                choices=[
                    ("contact", "contact only"),
                    ("pending", "to be proved"),
                    ("legacy", "never asked for proof"),
                ],
                default="contact",
                editable=False,
                max_length=10,
                verbose_name="unproved address",
            ),
        ),
        migrations.RunPython(keep_log_in_by_address, migrations.RunPython.noop),
    ]
