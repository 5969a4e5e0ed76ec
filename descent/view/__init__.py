"""See what happened: trace a prediction, then open floor after floor down to one multiplication."""
