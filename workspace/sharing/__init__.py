"""Shared projects: permissions, memberships and their index."""
