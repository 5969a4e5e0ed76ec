"""Run a module's `run()` in a process of its own: `python -m bench.alone bench.ladder FILE`."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

from bench.store import save


def main() -> None:
    """Write the results where the harness reads them."""
    module, file = sys.argv[1:3]
    save(Path(file), [("", "", result) for result in importlib.import_module(module).run()])


if __name__ == "__main__":
    main()
