"""From a step written in Python to one readable file of loops: recorded, fused, compiled."""
