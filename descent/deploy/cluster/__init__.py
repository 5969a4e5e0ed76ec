"""Where replicas run when one process is outgrown: a Ray cluster here, or one on Kubernetes.

`local` starts, describes and ends Ray on this machine; `manifests` writes what KubeRay needs, and
`checking` reads it again with a stranger's eyes.
"""
