"""One file per paper or system; each states its configuration on top."""
