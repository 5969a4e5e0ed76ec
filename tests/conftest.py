"""Settings for every test: hypothesis without deadlines, for a busy machine is not a bug."""

from hypothesis import settings

settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")
