"""A page in a real browser that is watched: a script that fails, a request elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def watched(
    chromium: Any, site: str, *, width: int = 1280, height: int = 860, allowed: tuple[str, ...] = ()
) -> Iterator[Any]:
    """A page that fails at its end on any console error or warning (but those that hold one of
    `allowed`), dialog, or request that does not go to `site`."""
    page = chromium.new_page(viewport={"width": width, "height": height})
    page.set_default_timeout(15_000)
    troubles: list[str] = []
    page.on("console", lambda m: troubles.append(m.text) if m.type in ("error", "warning") else 0)
    page.on("pageerror", lambda error: troubles.append(str(error)))
    page.on("dialog", lambda dialog: (troubles.append(dialog.message), dialog.dismiss()))
    ours = (site, "blob:" + site)
    page.on("request", lambda r: None if r.url.startswith(ours) else troubles.append(r.url))
    yield page
    page.close()
    assert [said for said in troubles if not any(part in said for part in allowed)] == []
