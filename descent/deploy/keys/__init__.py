"""API keys: who may ask what, how often; and how a node checks it."""

from descent.deploy.keys.bucket import Bucket
from descent.deploy.keys.ring import KeyRing, Made
from descent.deploy.keys.scopes import allows, check_scopes, wanted_of

__all__ = ["Bucket", "KeyRing", "Made", "allows", "check_scopes", "wanted_of"]
