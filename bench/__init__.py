"""Benchmarks: ours and the peers in turn, in one run; only ratios count."""
