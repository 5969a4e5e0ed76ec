"""Specs in the shape of Cortex' documentation, written for these tests, one per kind and more."""

EXAMPLES = {
    "realtime": """
- name: ticket-router
  kind: RealtimeAPI
  pod:
    port: 8080
    max_concurrency: 4
    max_queue_length: 250
    containers:
    - name: web
      image: registry.example.com/support/router:3.1
      command: ["gunicorn", "--bind", "0.0.0.0:$(CORTEX_PORT)", "router:app"]
      env:
        MODEL: "small"
      compute:
        cpu: 500m
        mem: 1.5Gi
        shm: 64Mi
      readiness_probe:
        http_get:
          path: /ready
          port: 8080
        timeout_seconds: 3
      liveness_probe:
        tcp_socket:
          port: 8080
        period_seconds: 30
        failure_threshold: 5
      pre_stop:
        exec:
          command: ["sleep", "5"]
    - name: features
      image: registry.example.com/support/features
      args:
        - --port=8500
      readiness_probe:
        exec:
          command: ["probe", "-addr", "localhost:8500"]
      compute:
        cpu: 1
        mem: 2G
        gpu: 1
  autoscaling:
    min_replicas: 0
    max_replicas: 5
    init_replicas: 1
    target_in_flight: 2.5
    window: 2m
    downscale_stabilization_period: 30s
    upscale_stabilization_period: 0s
    max_downscale_factor: 0.5
    max_upscale_factor: 2
    downscale_tolerance: 0
    upscale_tolerance: 0.1
  node_groups: [cpu-spot, cpu_on_demand]
  update_strategy:
    max_surge: 1
    max_unavailable: 0
  networking:
    endpoint: support/tickets
""",
    "async": """
- name: transcriber
  kind: AsyncAPI
  pod:
    port: 8080
    max_concurrency: 2
    containers:
    - name: api
      image: registry.example.com/audio/transcribe:latest
      readiness_probe:
        http_get:
          path: "/healthz"
          port: 8080
      compute:
        inf: 1
""",
    "batch": """
- name: thumbnails
  kind: BatchAPI
  pod:
    containers:
    - name: worker
      image: registry.example.com/media/thumbs:2
      command: ["uvicorn", "--host", "0.0.0.0", "--port", "$(CORTEX_PORT)", "main:app"]
      readiness_probe:
        http_get:
          path: "/healthz"
          port: 8080
      compute:
        cpu: 200m
        mem: 256Mi
""",
    "task": """
- name: nightly-training
  kind: TaskAPI
  pod:
    containers:
    - name: trainer
      image: registry.example.com/train:5
      command:
        - python
        - train.py
      compute:
        cpu: 200m
        mem: 256Mi
""",
    "splitter": """
- name: router-a
  kind: RealtimeAPI
  pod: {containers: [{name: api, image: "registry.example.com/router:a"}]}
- name: router-b
  kind: RealtimeAPI
  pod: {containers: [{name: api, image: "registry.example.com/router:b"}]}
- name: router-c
  kind: RealtimeAPI
  pod: {containers: [{name: api, image: "registry.example.com/router:c"}]}
- name: router
  kind: TrafficSplitter
  networking:
    endpoint: /router
  apis:
    - name: router-a
      weight: 30
    - name: router-b
      weight: 70
    - name: router-c
      shadow: true
      weight: 100
""",
}
