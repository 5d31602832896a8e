"""JSON from outside: what a body, a document and a value may be."""
