"""Settings and a browser for every test: hypothesis without deadlines, for a busy machine is not a
bug."""

import os
import shutil

import pytest
from hypothesis import settings

settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


@pytest.fixture(scope="module")  # no longer: while it lives, asyncio.run cannot be called
def chromium():
    """The system's browser where there is one; else the one `playwright install` brings."""
    from playwright.sync_api import sync_playwright

    found = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield chromium
        chromium.close()
