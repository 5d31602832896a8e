"""The engines behind the port: files (durable) and memory (for tests and for trying things)."""
