"""Rules for JSON from untrusted sources: request bodies, documents and values."""
