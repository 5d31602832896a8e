"""The storage services: all that stands between the Django apps and the engine in `docstore`.

The table of collections (`table`) and the rules that follow from it (`records`, which rests on
`fields`, `times` and `json_values`), strict request bodies (`json_body`), and the services that
read and write records (`json_storage`, whose parts are `people`, `references` and `documents`).
The name says little; a module belongs here only when it serves storage and both apps need it.
"""
