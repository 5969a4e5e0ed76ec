"""micrograd's modules: `descent.compat.micrograd.engine` and `descent.compat.micrograd.nn`.

Reference: github.com/karpathy/micrograd. One difference on purpose: a second `backward()` computes
the nodes between root and leaves afresh, where micrograd counts them twice.
"""
