"""How many replicas, and why: policies as functions of samples and history, and the loop around.

`cortex` and `ray_serve` decide; `Autoscaler` keeps one API's samples and history; `Scaling` ticks
and scales pools; `Activator` holds requests of an API at zero; `to_end` says which replicas go.
"""

from descent.deploy.scale.autoscaler import Autoscaler
from descent.deploy.scale.decision import Decision

__all__ = ["Autoscaler", "Decision"]
