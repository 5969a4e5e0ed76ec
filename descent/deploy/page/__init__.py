"""The operator's page of a node: static files that show what the control API says."""

from descent.deploy.page.files import Page

__all__ = ["Page"]
