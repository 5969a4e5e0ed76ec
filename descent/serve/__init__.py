"""Serving: OpenAI's text contract over HTTP, and a page that completes as one types.

The web framework is an extra (`pip install 'descent-ml[serve]'`) and is imported when it is used.
"""

from descent.serve.server import AddressInUse, background_server, serve

__all__ = ["AddressInUse", "background_server", "serve"]
