"""Guess the next tokens from the text itself: what followed the same few tokens before.

Prompt-lookup decoding (Saxena 2023; the verification is that of Leviathan et al. 2023,
arXiv:2211.17192, with a guesser that is always sure): the guesses are computed together with the
token before them, and accepted as long as each is what the sequence's own draw gives. A wrong guess
costs its row, never the result. Left out: a second, smaller model.
"""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["Guesser"]

_LENGTHS = (4, 3, 2)  # matches tried, longest first; one token alone guesses too badly


class Guesser:
    """Remembers where each few tokens of one text were seen last. At most `most` guesses a time."""

    def __init__(self, most: int) -> None:
        self.most = most
        self._length = most  # guesses worth making, by how many were right lately
        self._read = 0
        self._last: dict[tuple[int, ...], int] = {}  # n-gram → where what followed it begins

    def guess(self, ids: Sequence[int], room: int) -> list[int]:
        """Up to `room` tokens that may follow `ids`; none where the end is new."""
        self._note(ids)
        for n in _LENGTHS:
            at = self._last.get(tuple(ids[len(ids) - n :])) if len(ids) >= n else None
            if at is not None:
                return list(ids[at : at + min(self._length, room)])
        return []

    def _note(self, ids: Sequence[int]) -> None:
        """Every n-gram that is followed by something."""
        if len(ids) < self._read:  # the oldest were forgotten: places have moved
            self._read, self._last = 0, {}
        for end in range(max(self._read, 1), len(ids)):
            for n in _LENGTHS:
                if end >= n:
                    self._last[tuple(ids[end - n : end])] = end
        self._read = len(ids)

    def learn(self, n_guessed: int, n_right: int) -> None:
        """Guess further after a run of right ones, less far after a wrong one."""
        if n_guessed:
            right = n_right == n_guessed
            self._length = min(2 * self._length, self.most) if right else n_right + 1
