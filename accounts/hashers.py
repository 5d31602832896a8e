from django.contrib.auth.hashers import Argon2PasswordHasher


class Argon2idHasher(Argon2PasswordHasher):
    """Argon2id with OWASP's figures. Django's own would take 100 MiB for each login, so that a
    few at once could exhaust the machine."""

    time_cost = 2
    memory_cost = 19_456  # KiB
    parallelism = 1
