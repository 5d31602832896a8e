import hmac
from typing import Any

from cryptography.fernet import InvalidToken
from django.db import migrations

from accounts.mfa import cipher

DIGITS = 8  # of the codes of earlier releases


def keep_shorter_codes(apps: Any, schema_editor: Any) -> None:
    """Store unused recovery codes of eight digits as they are: from their seed, codes of ten
    digits would come."""
    alias = schema_editor.connection.alias
    factors = apps.get_model("mfa", "Authenticator").objects.using(alias)
    for factor in factors.filter(type="recovery_codes"):
        if "seed" not in factor.data or "migrated_codes" in factor.data:
            continue
        try:
            seed = cipher().decrypt(factor.data["seed"]).decode("ascii")
        except InvalidToken:  # made under another key: they open nothing anyway
            continue
        used = factor.data.get("used_mask", 0)
        unused = [code for i, code in enumerate(_codes(seed)) if not used & (1 << i)]
        factor.data["migrated_codes"] = [
            cipher().encrypt(code.encode()).decode("ascii") for code in unused
        ]
        del factor.data["seed"]
        factor.save(update_fields=["data"])


def _codes(seed: str) -> list[str]:
    """The codes that allauth made of a seed, with eight digits each."""
    digest, codes = hmac.new(seed.encode("ascii"), digestmod="sha1"), []
    for number in range(10):
        digest.update(f"{number:3},".encode())
        value = int.from_bytes(digest.digest()[: DIGITS // 2], "big") % 10**DIGITS
        codes.append(str(value).zfill(DIGITS))
    return codes


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0007_proved_addresses"),
        ("mfa", "0001_initial"),
    ]

    operations = [migrations.RunPython(keep_shorter_codes, migrations.RunPython.noop)]
