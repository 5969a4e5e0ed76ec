"""A node: what is deployed on it, its versions, how it is told what to do."""
