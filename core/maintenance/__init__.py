"""Maintenance that runs by itself: backups, retention, integrity checks, removal of expired data.

`jobs` is the table of jobs, `schedule` decides when each is due, `history` stores what ran,
`runner` runs jobs one by one under a lock, and `scheduler` starts a process for that from the
server.
"""
