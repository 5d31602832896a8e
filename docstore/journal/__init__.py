"""The journal: the format of the write-ahead log, its writer and its readers.

Start in `log`, which says what a crash leaves. The format is in `frames` (bytes of one entry) and
`entries` (commits as the payload of a frame). `change_feed` returns commits in order to readers
that follow, and `reader` reads the journal as it lies on disk, without opening it.
"""
