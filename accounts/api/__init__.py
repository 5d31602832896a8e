"""What the JSON API stands on.

Its addresses are in `accounts.api_urls`, those that every collection has in `accounts.api_views`.
"""
