"""What is kept of people beside their records: their own documents, what they did, may and want."""
