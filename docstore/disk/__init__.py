"""System calls on files, and nothing about documents: what the journal and the files share.

filesystem    file operations, each a named step
locks         one writer at a time, over threads and processes
shared_words  numbers that processes share
mount_checks  where a data folder is safe
descriptors   descriptors out of the way of `select`
"""
