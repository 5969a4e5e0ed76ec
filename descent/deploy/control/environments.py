"""Named nodes, as Cortex' environments: `descent env configure gpu --url https://… --token …`.

The environment "local" is the node of this machine's home folder and needs no entry.
"""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass

from descent.data.files import write_atomically
from descent.deploy.control.folders import Home
from descent.deploy.errors import DeployError

__all__ = ["LOCAL", "Environment", "Environments"]

LOCAL = "local"


@dataclass(frozen=True)
class Environment:
    """A node by name; `token` None: none is sent."""

    name: str
    url: str
    token: str | None = None


class Environments:
    """Those known in a home folder; every change is written at once."""

    def __init__(self, home: Home) -> None:
        self.home = home
        self.default, self.known = self._read()

    def _read(self) -> tuple[str, dict[str, Environment]]:
        try:
            found = json.loads(self.home.environments_file.read_text(encoding="utf-8"))
            known = {name: Environment(name=name, **each) for name, each in found["known"].items()}
            return found["default"], known
        except FileNotFoundError:
            return LOCAL, {}
        except (ValueError, TypeError, KeyError) as error:
            file = self.home.environments_file
            raise DeployError(f"{file} cannot be read ({error}); remove it to begin anew") from None

    def _write(self) -> None:
        known = {}
        for name, each in sorted(self.known.items()):
            known[name] = {key: v for key, v in asdict(each).items() if key != "name"}
        text = json.dumps({"default": self.default, "known": known}, indent=1)
        file = write_atomically(self.home.make().environments_file, text)
        file.chmod(0o600)  # it holds keys

    def find(self, name: str | None) -> Environment | None:
        """The named (None: default) environment; None is this machine's own node."""
        name = name or self.default
        if name == LOCAL:
            return None
        if name not in self.known:
            names = ", ".join([LOCAL, *sorted(self.known)])
            raise DeployError(f"there is no environment {name!r}; there are {names}")
        return self.known[name]

    def configure(self, name: str, url: str, token: str | None) -> None:
        """Add or change one."""
        if name == LOCAL:
            raise DeployError("'local' is this machine's own node; choose another name")
        if not re.fullmatch(r"https?://\S+", url):
            raise DeployError(f"the address {url!r} does not begin with http:// or https://")
        self.known[name] = Environment(name, url.rstrip("/"), token)
        self._write()

    def use(self, name: str) -> None:
        """Make it the default."""
        self.find(name)
        self.default = name
        self._write()

    def rename(self, name: str, new: str) -> None:
        """Give an environment another name."""
        found = self.find(name)
        if found is None or new == LOCAL or new in self.known:
            raise DeployError(f"{name!r} cannot be renamed to {new!r}: 'local' stays, names differ")
        del self.known[name]
        self.known[new] = Environment(new, found.url, found.token)
        self.default = new if self.default == name else self.default
        self._write()

    def delete(self, name: str) -> None:
        """Forget one; the default becomes "local" where it was that one."""
        if self.find(name) is None:
            raise DeployError("'local' is this machine's own node and stays")
        del self.known[name]
        self.default = LOCAL if self.default == name else self.default
        self._write()
