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

    @property
    def ready(self) -> bool:
        """Whether the next step is there already: asking for it computes nothing."""
        return any(isinstance(source, Handle) and source.has_news for _, source in self._sources)

    def __iter__(self) -> Iterator[tuple[int, Step]]:
        return self

    def __next__(self) -> tuple[int, Step]:
        if self._start is not None:
            start, self._start = self._start, None
            self._sources = list(enumerate(start()))
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
