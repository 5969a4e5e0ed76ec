"""The command `descent`: every command is a few lines over the public API."""

from descent.cli.main import main

__all__ = ["main"]
