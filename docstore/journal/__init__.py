"""The journal: the format of the write-ahead log, its writer and its readers.

frames       bytes of one entry
entries      commits as the payload of a frame, and back
replay       recorded edits applied to a document
log          the writer: append, make durable, recover. Start here
trimming     the history reduced to its bound
change_feed  commits in order, for readers that follow
reader       the journal as it lies on disk, without opening it
"""
