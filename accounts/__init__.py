"""People: accounts, log-in, tokens, sessions, settings and deletion."""
