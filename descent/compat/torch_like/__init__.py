"""What PyTorch scripts use beside tensors, layers and optimisers: data loaders, files, stubs.

One idea per file; `namespace` says under which of torch's names each thing is found.
"""
