"""Descent: from a live ML service down to the single multiplication and its derivative."""

__version__ = "0.1.0"
