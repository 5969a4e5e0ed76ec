"""Goals: what `descent up GOAL` builds. Data, model, training, service: one small file each."""
