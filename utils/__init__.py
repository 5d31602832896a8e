"""The storage services: all that stands between the Django apps and the engine in `docstore`.

The table of collections and its rules (`records`, `fields`, `json_values`), strict request
bodies (`json_body`), and the services that read and write records. The name is historical; a
module belongs here only when it serves storage and both apps need it.
"""
