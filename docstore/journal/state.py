"""The numbers that all processes of a journal share: where it ends, and what is durable.

They lie in one page of memory that is mapped to `journal/state`. A crash makes them meaningless:
recovery computes them again from the segments.
"""

from __future__ import annotations

from typing import Final

from docstore.disk.shared_words import Words

(
    _MAGIC,
    _GENERATION,  # counts recoveries, so that other processes notice one
    _EPOCH,
    _SEGMENT,  # the segment to append to; 0 if the next frame begins one
    _END,  # the offset of the next frame in it
    _APPENDED,  # sequence number of the last frame
    _SYNCED,  # of the last durable frame; written by leaders
    _RELAXED,  # of the last visible relaxed frame; written under the lock
    _WRITING,  # not 0 while a writer is changing these numbers
    _FAILED,  # errno of a failed sync
    _BLOCKED,  # errno that prevents publishing at present
    _RESTORING,  # not 0 while a backup's files replace those of the store
    _CHECKPOINT,  # sequence number up to which the files are durable
    _CLOSED,  # the mark of a clean close, set after its sync succeeded
    _WORDS,
) = range(15)
STATE_WORDS: Final = _WORDS
_STATE_MAGIC: Final = 0x4A464E_01


class _Number:
    """One of the shared numbers, as an attribute."""

    def __init__(self, index: int) -> None:
        self._index = index

    def __get__(self, state: JournalState, owner: type[JournalState]) -> int:
        return state.words[self._index]

    def __set__(self, state: JournalState, value: int) -> None:
        state.words[self._index] = value


class JournalState:
    """The shared numbers by name; a private copy before opening, after closing and for reading.

    Invariant: `relaxed` and `synced` never exceed `appended`, and `checkpoint` never exceeds
    `synced`. Only the holder of the folder lock writes, except for `synced`, `failed` and
    `blocked`.
    """

    generation = _Number(_GENERATION)
    epoch = _Number(_EPOCH)
    segment = _Number(_SEGMENT)
    end = _Number(_END)
    appended = _Number(_APPENDED)
    synced = _Number(_SYNCED)
    relaxed = _Number(_RELAXED)
    writing = _Number(_WRITING)
    failed = _Number(_FAILED)
    blocked = _Number(_BLOCKED)
    restoring = _Number(_RESTORING)
    checkpoint = _Number(_CHECKPOINT)
    closed = _Number(_CLOSED)

    def __init__(self) -> None:
        self.words: Words = [0] * STATE_WORDS

    @property
    def visible(self) -> int:
        """Return the sequence number up to which frames are visible."""
        words = self.words
        synced, relaxed = words[_SYNCED], words[_RELAXED]
        return synced if synced > relaxed else relaxed

    @property
    def has_failed(self) -> bool:
        """Return whether a sync failed, in this or another process."""
        return self.words[_FAILED] != 0

    def is_of_generation(self, generation: int) -> bool:
        """Return whether no other process recovered the journal since this generation."""
        return self.words[_GENERATION] == generation

    def is_beyond(self, followed: int) -> bool:
        """Return whether there are frames after `followed`, or a writer is at work or died."""
        words = self.words
        return words[_WRITING] != 0 or words[_APPENDED] != followed

    def next_frame(self) -> tuple[int, int, int, int]:
        """Return epoch, sequence number and offset of the next frame, and the last durable one."""
        words = self.words
        return words[_EPOCH], words[_APPENDED] + 1, words[_END], words[_SYNCED]

    def complete_frame(self, sequence: int, end: int) -> None:
        """Note that a frame is written. `writing` is reset last: see `Appender.append`."""
        words = self.words
        words[_END] = end
        words[_APPENDED] = sequence
        words[_WRITING] = 0

    def replace(self, values: JournalState) -> None:
        """Set all numbers to these.

        The magic number is written last. If this process dies in between, the next one does not
        trust the numbers and recovers again.
        """
        self.words[_MAGIC] = 0
        for index in range(1, STATE_WORDS):
            self.words[index] = values.words[index]
        self.words[_MAGIC] = _STATE_MAGIC

    def detach(self) -> None:
        """Retain a private copy of the numbers instead of the shared page."""
        if not isinstance(self.words, list):
            self.words = self.words.tolist()


def must_recover(words: Words) -> bool:
    """Return whether to recover the journal even if other processes have it open."""
    return words[_MAGIC] != _STATE_MAGIC or words[_FAILED] != 0


def clean_shutdown_marker(sequence: int) -> int:
    """Return a number that marks a durable clean close at this frame; garbage never equals it."""
    return sequence * 0x9E3779B97F4A7C15 % 2**64 ^ _STATE_MAGIC
