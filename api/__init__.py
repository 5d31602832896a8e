"""The toolkit of the JSON API.

`accounts.api_urls` has its URLs, `accounts.api_views` the views that all collections share.
"""
