"""A service: load, decode, predict, encode, and what clients see of it."""
