"""`python -m descent` is the command `descent`."""

from descent.cli import main

main()
