"""The storage services: all that stands between the Django apps and the engine in `docstore`.

Here are the table of collections (`table`), the rules that follow from it (`records`, which rests
on `fields`, `times` and `json.values`), and what reads and writes records (`json_storage`, with
`documents`, `edits` and `references`). What more there is for one matter has a room of its own:
`tasks`, `people`, `sharing`, `portability`, `operating`, `json`. The name says little; a module
belongs here only when it serves storage and both apps need it.
"""
