"""Deployment: from a run folder, or any Python class, to a service that survives.

    spec (YAML | run folder | class) → backend loads a pool → gateway routes requests to it
                                     → jobs outlive the process in a durable store

`descent deploy`, `descent.deploy.client()` and the HTTP control API do the same things. The rooms:
`spec/` what is to run · `service/` load, decode, predict, encode · `gateway/` the way of a request
`jobs/` async, batch and task work · `traffic/` splitters · `scale/` how many replicas, and why
`pools/` where services run (this process, a command, Ray) · `control/` versions, updates, the node
Reference: Cortex' API kinds and field names (github.com/cortexlabs/cortex), shown beside ours in
docs/deploy.md.
"""
