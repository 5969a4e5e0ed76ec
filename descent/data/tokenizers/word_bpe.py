"""The BPE model as `tokenizer.json` states it: symbols with ids of their own, merges in rank order.

A word is cut into characters (bytes, where a byte-level alphabet stands before it), and the merges
are applied, lowest rank first. A character the vocabulary lacks becomes its bytes `<0xE2> …`
(byte fallback), else the unknown token, else nothing, as in the `tokenizers` library.
Left out: dropout, word-piece prefixes and suffixes.
"""

import re
from collections.abc import Iterable

from descent.data.errors import DataError
from descent.data.tokenizers.borders import border_pattern
from descent.data.tokenizers.bpe_encoding import ID_BITS, merge_ranked

__all__ = ["WordBPE", "byte_token"]


def byte_token(byte: int) -> str:
    """How a byte is written in a vocabulary with byte fallback: `<0x0A>`."""
    return f"<0x{byte:02X}>"


class WordBPE:
    """One word to ids.

    Args:
        ids: token → id.
        merges: pairs of tokens in order of rank; their concatenation must be a token, too.
        unk: the unknown token, or None.
        fuse_unk: neighbouring unknown characters become one unknown token.
        byte_fallback: unknown characters become the tokens of their bytes, if all are there.
        ignore_merges: a word that is a token is that token, even if no merges lead to it.
    """

    def __init__(
        self,
        ids: dict[str, int],
        merges: Iterable[tuple[str, str]],
        *,
        unk: str | None = None,
        fuse_unk: bool = False,
        byte_fallback: bool = False,
        ignore_merges: bool = False,
    ):
        self.ids = ids
        self.pairs: dict[tuple[int, int], int] = {}
        for rank, (a, b) in enumerate(merges):
            try:
                self.pairs[ids[a], ids[b]] = rank + 1 << ID_BITS | ids[a + b]
            except KeyError as error:
                raise DataError(
                    f"merge {rank}, ({a!r}, {b!r}): {error.args[0]!r} is not in the vocabulary"
                ) from None
        if unk is not None and unk not in ids:
            raise DataError(f"the unknown token {unk!r} is not in the vocabulary")
        self.unk_id = None if unk is None else ids[unk]
        self.fuse_unk = fuse_unk
        self.ignore_merges = ignore_merges
        found = [ids.get(byte_token(byte)) for byte in range(256)]
        self.byte_ids = found if byte_fallback else [None] * 256

    def borders(self) -> re.Pattern | None:
        """Where a text may be cut into words without changing its ids (see `borders`)."""
        symbols = {id for id in (self.unk_id, *self.byte_ids) if id is not None}
        if self.ignore_merges or any(a in symbols or b in symbols for a, b in self.pairs):
            return None  # there, tokens are not what stands in the text
        unknown = None in self.byte_ids
        if unknown and "▁" not in self.ids:
            return None
        made = {made & (1 << ID_BITS) - 1 for made in self.pairs.values()}
        names = [name for name, token in self.ids.items() if token in made]
        return border_pattern(names, unknown=unknown)

    def __call__(self, word: str) -> list[int]:
        """The ids of `word`."""
        if self.ignore_merges and (whole := self.ids.get(word)) is not None:
            return [whole]
        try:
            symbols = [self.ids[char] for char in word]
        except KeyError:
            symbols = self._symbols(word)
        return merge_ranked(symbols, self.pairs.get)

    def _symbols(self, word: str) -> list[int]:
        """The characters of a word that has unknown ones."""
        symbols: list[int] = []
        after_unknown = False
        for char in word:
            known = self.ids.get(char)
            of_bytes = [] if known is not None else [self.byte_ids[b] for b in char.encode()]
            if known is not None:
                symbols.append(known)
            elif None not in of_bytes:
                symbols += [each for each in of_bytes if each is not None]
            elif self.unk_id is not None:
                if not (after_unknown and self.fuse_unk):
                    symbols.append(self.unk_id)
                after_unknown = True
                continue
            after_unknown = False
        return symbols
