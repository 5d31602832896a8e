"""The dashboard: today's tasks, and an overview."""
