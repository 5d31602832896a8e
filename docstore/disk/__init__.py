"""System calls on files, and nothing about documents: what the journal and the files share."""
