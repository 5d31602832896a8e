"""The domain: records, users, sharing and archives on top of the engine in `docstore`.

It knows neither Django nor HTTP. `schema` defines the collections and validates records, `records`
changes them, and each larger topic has a package of its own.
"""
