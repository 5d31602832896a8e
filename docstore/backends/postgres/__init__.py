"""Documents in PostgreSQL, a row a record: many app servers on one store.

Start reading in `schema.py` (tables, and the function that applies a commit), then `backend.py`.
Needs the extra `postgres`: psycopg 3 and its pool.
"""

from docstore.backends.postgres.backend import PostgresBackend
from docstore.backends.postgres.loading import PostgresLoader

__all__ = ["PostgresBackend", "PostgresLoader"]
