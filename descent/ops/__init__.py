"""Every op, listed by hand: one small file per family."""
