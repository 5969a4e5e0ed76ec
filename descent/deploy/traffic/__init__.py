"""TrafficSplitter: one address, several APIs.

`choosing.py` whose turn it is · `guarding.py` when a target loses its share.
"""

from descent.deploy.traffic.choosing import Chooser
from descent.deploy.traffic.guarding import Watch, judge

__all__ = ["Chooser", "Watch", "judge"]
