"""The domain: records, users, sharing and import/export on top of the engine in `docstore`.

`table` defines the collections. `records` applies their rules (with `fields`, `times` and
`json.values`). `json_storage` reads and writes records (with `documents`, `edits` and
`references`). Larger topics have packages: `tasks`, `people`, `sharing`, `portability`,
`operating`, `json`. A module belongs here only if it serves storage and both apps need it.
"""
