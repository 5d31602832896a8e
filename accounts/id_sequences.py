"""Access to the sequences of ids in SQLite and PostgreSQL."""

from django.db import connections, models


def raise_sequence(model: type[models.Model], used: int, *, using: str) -> None:
    """Raise the model's id sequence to at least `used`, so that new ids are greater.

    Call it inside a transaction. Raises `NotImplementedError` for other databases.
    """
    if used <= 0:
        return
    connection = connections[using]
    table = model._meta.db_table
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            cursor.execute(
                "INSERT INTO sqlite_sequence (name, seq) SELECT %s, 0 "
                "WHERE NOT EXISTS (SELECT 1 FROM sqlite_sequence WHERE name = %s)",
                [table, table],
            )
            cursor.execute(
                "UPDATE sqlite_sequence SET seq = %s WHERE name = %s AND seq < %s",
                [used, table, used],
            )
        elif connection.vendor == "postgresql":
            name = connection.ops.quote_name(table)
            cursor.execute("SELECT pg_get_serial_sequence(%s, 'id')", [name])
            sequence = cursor.fetchone()[0]
            cursor.execute(
                f"SELECT setval(%s, %s) FROM {sequence} WHERE last_value < %s OR "
                "(last_value = %s AND NOT is_called)",
                [sequence, used, used, used],
            )
        else:
            raise NotImplementedError(f"Accounts cannot be kept in {connection.vendor}.")
