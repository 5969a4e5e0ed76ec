"""Several completions read as one stream of `(index, Step)`.

Where an engine computes them together they come in turns, one step of each; otherwise one after
another, since nothing would be gained by interleaving.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from descent.generate.engine.handle import Handle
from descent.generate.writing import Step

__all__ = ["Streams"]


class Streams:
    """An iterator over the steps of all sources; close it to end them all.

    `start` is called when the first step is asked for: a request in a waiting line costs nothing.
    """

    def __init__(self, start: Callable[[], Sequence[Iterator[Step]]]) -> None:
        self._start: Callable[[], Sequence[Iterator[Step]]] | None = start
        self._sources: list[tuple[int, Iterator[Step]]] = []
        self._at = 0
        self._failed: Exception | None = None

    def poll(self) -> list[tuple[int, Step]] | None:
        """What there is after one turn of computing at most, maybe nothing; None at the end.

        For a reader that has others to serve: `next` may need many turns to read a long prompt.
        """
        if self._failed is not None:
            raise self._failed
        self._open()
        made: list[tuple[int, Step]] = []
        if self._sources and not self.ready:
            source = self._sources[self._at % len(self._sources)][1]
            if isinstance(source, Handle):
                source.advance()
            else:
                return [item] if (item := next(self, None)) else None
        try:
            while self.ready and (item := next(self, None)) is not None:
                made.append(item)
        except Exception as error:
            if not made:
                raise
            self._failed = error  # what came before it is told first
        return made if made or self._sources else None

    @property
    def ready(self) -> bool:
        """Whether the next step is there already: asking for it computes nothing."""
        return any(isinstance(source, Handle) and source.has_news for _, source in self._sources)

    def __iter__(self) -> Iterator[tuple[int, Step]]:
        return self

    def _open(self) -> None:
        if self._start is not None:
            start, self._start = self._start, None
            self._sources = list(enumerate(start()))

    def __next__(self) -> tuple[int, Step]:
        self._open()
        while self._sources:
            self._at %= len(self._sources)
            index, source = self._sources[self._next_ready()]
            try:
                step = next(source)
            except StopIteration:
                del self._sources[self._at]
                continue
            except BaseException:
                self.close()
                raise
            # A prompt's steps stay together with the first step after them.
            self._at += isinstance(source, Handle) and not step.prompt
            return index, step
        raise StopIteration

    def _next_ready(self) -> int:
        """The source whose turn it is, or the next one that has something to show."""
        n = len(self._sources)
        for place in (*range(self._at, n), *range(self._at)):
            source = self._sources[place][1]
            if isinstance(source, Handle) and source.has_news:
                self._at = place
                break
        return self._at

    def close(self) -> None:
        """No more steps are wanted: free what the sequences hold."""
        for _, source in self._sources:
            close = getattr(source, "close", None)
            if close is not None:
                close()
        self._sources, self._start = [], None
