"""The tables of a store in PostgreSQL, and the function that applies a commit.

A *document* row has the version and the *head*: the fields beside the list of records, as JSON
text, with `[]` in place of the list. A *record* row has one record at a *place*; the order of
places is the order of the list. Everything is `text` and not `jsonb`, so that key order and numbers
stay as they were written.

Numbers. A commit is numbered by its own transaction id plus the store's offset. Writers of a
document take its advisory lock before they get a transaction id, so numbers ascend along the
versions of each document. A follower reads only below the snapshot's xmin: there, no commit can
appear late. A counter row would serialize all writers; an identity column alone would let a
follower skip a commit that is slower than its successor.

Changes for readers. A reader that knows a document at version `v` fetches the rows with a newer
version. Removed records stay as *tombstones*, without a body. `dropped` counts the records that
were cut from the beginning of the list; these leave no tombstones. A reader whose version is below
`base` must read everything again: the list was replaced, or tombstones were purged.
"""

from __future__ import annotations

from typing import Final

FORMAT: Final = 1
CONFLICT: Final = "NF001"
MISFIT: Final = "NF002"

TABLES: Final = """
CREATE SCHEMA IF NOT EXISTS {schema};

CREATE TABLE IF NOT EXISTS {schema}.store (
    is_single boolean PRIMARY KEY DEFAULT true CHECK (is_single),
    format integer NOT NULL,
    number_offset bigint NOT NULL,
    history_floor bigint NOT NULL,
    cluster text NOT NULL,
    copying text NOT NULL DEFAULT '',
    copied_from text NOT NULL DEFAULT '',
    copied_through bigint NOT NULL DEFAULT 0
);

CREATE TABLE IF NOT EXISTS {schema}.note (
    name text PRIMARY KEY,
    content text NOT NULL
);

CREATE TABLE IF NOT EXISTS {schema}.document (
    collection text COLLATE "C" NOT NULL,
    owner bigint NOT NULL,
    version bigint NOT NULL,
    base bigint NOT NULL,
    next_place bigint NOT NULL,
    dropped bigint NOT NULL,
    bytes bigint NOT NULL,
    head text,
    PRIMARY KEY (collection, owner)
) WITH (fillfactor = 70);

CREATE TABLE IF NOT EXISTS {schema}.record (
    collection text COLLATE "C" NOT NULL,
    owner bigint NOT NULL,
    place bigint NOT NULL,
    id bigint,
    version bigint NOT NULL,
    body text,
    PRIMARY KEY (collection, owner, place)
);
CREATE INDEX IF NOT EXISTS record_by_version ON {schema}.record (collection, owner, version);
CREATE INDEX IF NOT EXISTS record_by_id ON {schema}.record (collection, owner, id)
    WHERE id IS NOT NULL;
CREATE INDEX IF NOT EXISTS record_tombstones ON {schema}.record (version) WHERE body IS NULL;

CREATE TABLE IF NOT EXISTS {schema}.entry (
    number bigint NOT NULL,
    made date NOT NULL DEFAULT (now() AT TIME ZONE 'UTC')::date,
    commit_id uuid NOT NULL,
    actor text NOT NULL,
    bytes integer NOT NULL,
    payload text NOT NULL,
    PRIMARY KEY (number, made),
    UNIQUE (commit_id, made)
) PARTITION BY RANGE (made);
CREATE INDEX IF NOT EXISTS entry_by_actor ON {schema}.entry (actor) INCLUDE (bytes);
"""

# The locks are in the order of keys: exclusive for documents that change, shared for those that the
# edit only read, whose versions are compared, too. The arrays of changes have an element per
# document, in the order of keys; `p_ids` and `p_bodies` have the records of all documents in turn:
# for each document those removed, those changed, and those appended.
COMMIT: Final = """
CREATE OR REPLACE FUNCTION {schema}.commit_1(
    p_commit uuid, p_actor text, p_payload text,
    p_lock_collections text[], p_lock_owners bigint[], p_lock_shared boolean[],
    p_read_collections text[], p_read_owners bigint[], p_read_versions bigint[],
    p_collections text[], p_owners bigint[], p_expects bigint[], p_heads text[], p_bytes bigint[],
    p_rewrites boolean[], p_cuts integer[], p_removed integer[], p_changed integer[],
    p_appended integer[], p_ids bigint[], p_bodies text[],
    OUT number bigint, OUT bases bigint[], OUT next_places bigint[], OUT drops bigint[]
) LANGUAGE plpgsql SET lock_timeout = '5s' AS $$
DECLARE
    begun integer := 0;
    touched bigint;
    first_place bigint;
    last_cut bigint;
    new_base bigint;
    new_next bigint;
    new_dropped bigint;
BEGIN
    FOR i IN 1 .. cardinality(p_lock_owners) LOOP
        IF p_lock_shared[i] THEN
            PERFORM pg_advisory_xact_lock_shared(
                hashtextextended(p_lock_collections[i], p_lock_owners[i]));
        ELSE
            PERFORM pg_advisory_xact_lock(
                hashtextextended(p_lock_collections[i], p_lock_owners[i]));
        END IF;
    END LOOP;
    IF EXISTS (
        SELECT FROM unnest(p_read_collections, p_read_owners, p_read_versions)
            AS r (collection, owner, version)
        LEFT JOIN {schema}.document AS d
            ON d.collection = r.collection AND d.owner = r.owner AND d.head IS NOT NULL
        WHERE d.version IS DISTINCT FROM r.version
    ) THEN
        RAISE EXCEPTION USING ERRCODE = 'NF001', MESSAGE = 'a document that was read has changed';
    END IF;
    -- After the locks: the number must be above the version of every document in the commit.
    number := pg_current_xact_id()::text::bigint + (SELECT number_offset FROM {schema}.store);
    FOR i IN 1 .. cardinality(p_owners) LOOP
        IF p_expects[i] IS NULL THEN
            first_place := 0;
            INSERT INTO {schema}.document AS d
            VALUES (p_collections[i], p_owners[i], number, number, p_appended[i], 0,
                    coalesce(octet_length(p_heads[i]), 0) + p_bytes[i], p_heads[i])
            ON CONFLICT (collection, owner) DO UPDATE
            SET version = number, base = number, next_place = excluded.next_place, dropped = 0,
                bytes = excluded.bytes, head = excluded.head
            WHERE d.head IS NULL AND d.version < number
            RETURNING d.base, d.next_place, d.dropped INTO new_base, new_next, new_dropped;
        ELSE
            UPDATE {schema}.document AS d
            SET version = number, head = p_heads[i],
                bytes = coalesce(octet_length(p_heads[i]), 0) + p_bytes[i]
                    + CASE WHEN p_rewrites[i] THEN 0 ELSE d.bytes - octet_length(d.head) END,
                base = CASE WHEN p_rewrites[i] THEN number ELSE d.base END,
                next_place = p_appended[i] + CASE WHEN p_rewrites[i] THEN 0 ELSE d.next_place END,
                dropped = CASE WHEN p_rewrites[i] THEN 0 ELSE d.dropped + p_cuts[i] END
            WHERE d.collection = p_collections[i] AND d.owner = p_owners[i]
                AND d.version = p_expects[i] AND d.version < number AND d.head IS NOT NULL
            RETURNING d.base, d.next_place, d.dropped INTO new_base, new_next, new_dropped;
            first_place := new_next - p_appended[i];
        END IF;
        IF NOT FOUND THEN
            RAISE EXCEPTION USING ERRCODE = 'NF001', MESSAGE = 'another writer was first',
                DETAIL = i;
        END IF;
        IF p_rewrites[i] AND p_expects[i] IS NOT NULL THEN
            DELETE FROM {schema}.record AS r
            WHERE r.collection = p_collections[i] AND r.owner = p_owners[i];
        END IF;
        IF p_removed[i] > 0 THEN
            UPDATE {schema}.record AS r SET version = number, body = NULL
            WHERE r.collection = p_collections[i] AND r.owner = p_owners[i]
                AND r.id = ANY (p_ids[begun + 1 : begun + p_removed[i]]) AND r.body IS NOT NULL;
            GET DIAGNOSTICS touched = ROW_COUNT;
            IF touched <> p_removed[i] THEN
                RAISE EXCEPTION USING ERRCODE = 'NF002', MESSAGE = 'records to remove', DETAIL = i;
            END IF;
            begun := begun + p_removed[i];
        END IF;
        IF p_changed[i] > 0 THEN
            UPDATE {schema}.record AS r SET version = number, body = v.body
            FROM unnest(p_ids[begun + 1 : begun + p_changed[i]],
                        p_bodies[begun + 1 : begun + p_changed[i]]) AS v (id, body)
            WHERE r.collection = p_collections[i] AND r.owner = p_owners[i]
                AND r.id = v.id AND r.body IS NOT NULL;
            GET DIAGNOSTICS touched = ROW_COUNT;
            IF touched <> p_changed[i] THEN
                RAISE EXCEPTION USING ERRCODE = 'NF002', MESSAGE = 'records to change', DETAIL = i;
            END IF;
            begun := begun + p_changed[i];
        END IF;
        IF p_cuts[i] > 0 THEN
            SELECT max(f.place), count(*) INTO last_cut, touched FROM (
                SELECT r.place FROM {schema}.record AS r
                WHERE r.collection = p_collections[i] AND r.owner = p_owners[i]
                    AND r.body IS NOT NULL
                ORDER BY r.place LIMIT p_cuts[i]
            ) AS f;
            IF touched <> p_cuts[i] THEN
                RAISE EXCEPTION USING ERRCODE = 'NF002', MESSAGE = 'records to cut', DETAIL = i;
            END IF;
            DELETE FROM {schema}.record AS r
            WHERE r.collection = p_collections[i] AND r.owner = p_owners[i] AND r.place <= last_cut;
            GET DIAGNOSTICS touched = ROW_COUNT;
            IF touched <> p_cuts[i] THEN
                -- Tombstones were among them. A reader could not know how many to drop.
                UPDATE {schema}.document AS d SET base = number
                WHERE d.collection = p_collections[i] AND d.owner = p_owners[i];
                new_base := number;
            END IF;
        END IF;
        IF p_appended[i] > 0 THEN
            INSERT INTO {schema}.record
            SELECT p_collections[i], p_owners[i], first_place + v.ordinal - 1, v.id, number, v.body
            FROM unnest(p_ids[begun + 1 : begun + p_appended[i]],
                        p_bodies[begun + 1 : begun + p_appended[i]])
                WITH ORDINALITY AS v (id, body, ordinal);
            begun := begun + p_appended[i];
        END IF;
        bases[i] := new_base;
        next_places[i] := new_next;
        drops[i] := new_dropped;
    END LOOP;
    INSERT INTO {schema}.entry (number, commit_id, actor, bytes, payload)
    VALUES (number, p_commit, p_actor, octet_length(p_payload), p_payload);
END
$$;
"""

# Numbers continue above all earlier ones, also in another cluster, whose transaction ids start
# again. A fresh store begins at 1.
BEGIN_STORE: Final = """
INSERT INTO {schema}.store (format, number_offset, history_floor, cluster)
SELECT %(format)s, -pg_current_xact_id()::text::bigint, 0, {cluster}
ON CONFLICT (is_single) DO NOTHING
"""
CLUSTER: Final = "(SELECT system_identifier::text FROM pg_control_system())"
MOVE_STORE: Final = """
UPDATE {schema}.store AS s
SET cluster = {cluster},
    number_offset = greatest(
        s.number_offset,
        1 - pg_current_xact_id()::text::bigint
        + greatest(s.history_floor, (SELECT max(e.number) FROM {schema}.entry AS e))
    )
WHERE s.cluster <> {cluster}
"""
