"""Documents as JSON files, made durable by the journal. Start in `backend`."""
