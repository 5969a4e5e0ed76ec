"""Where services run: this process, a process of their own, Ray."""
