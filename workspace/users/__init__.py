"""User documents: activities, preferences, quota, retention and deletion."""
