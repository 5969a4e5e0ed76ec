"""Sides of a benchmark: processes that do their part of a work when told to, in turn."""
