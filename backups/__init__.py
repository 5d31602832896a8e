"""Backups of a store and its accounts: incremental, content-addressed, verified.

A backup is a manifest that lists every file with its SHA-256, and packs that hold the contents:
tar archives compressed with zstd, optionally encrypted with age. Backups share packs, so a backup
adds only contents that no earlier one has. docs/format.md describes the files, and how to unpack
one with standard tools.

Start reading in `manifest.py` (the format), then `create.py`, `verify.py` and `restore.py`. This
package knows neither Django nor HTTP, and of the documents only their layouts.
"""
