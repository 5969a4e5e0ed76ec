"""Source code of the installed packages whose licences permit learning from it and passing it on.

A package's licence is what its own metadata says: the SPDX expression (PEP 639), else the
classifiers, else the License field when it is a name. Everything in it must be permissive (MIT,
BSD, Apache-2.0, ISC, PSF and their kin); a package that says nothing, or has a part under another
licence, is left out.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from descent.data.corpus import NOT_LEARNED
from descent.data.text import Document, read_files

__all__ = ["Package", "installed_packages", "permissive", "read_packages"]

_PERMISSIVE = frozenset(
    "mit mit-0 mit-cmu bsd bsd-2-clause bsd-3-clause 0bsd apache apache-2.0 apache2 isc psf "
    "psf-2.0 python-2.0 zlib bsl-1.0 cc0-1.0 unlicense hpnd cnri-python".split()
)
_NAMES = re.compile(  # what packages write instead of an SPDX name
    r"apache( software)?( license)?,?( version)?( 2(\.0)?)?( license)?"
    r"|(new |modified |simplified )?([23]-clause )?bsd([ -][23]-clause)?( license)?"
    r"|(mit|isc|python software foundation|psf(-2\.0)?)( license)?"
)
_BUNDLED = {"_vendor", "vendor", "_vendored", "extern", "externals"}  # under licences of their own


@dataclass(frozen=True)
class Package:
    """An installed distribution: its name, version, licence as it states it, and Python sources."""

    name: str
    version: str
    licence: str
    files: tuple[tuple[str, Path], ...]


def permissive(licence: str) -> bool:
    """Whether an SPDX expression, or a licence's usual name, is permissive in every part."""
    text = licence.strip().lower()
    if not text:
        return False
    if _NAMES.fullmatch(text):
        return True
    text = re.sub(r"apache-2\.0 with llvm-exception", "apache-2.0", text)
    parts = re.split(r"\s+and\s+", text.replace("(", " ").replace(")", " ").strip())
    # Of `A OR B` one may choose: one permissive side is enough.
    return all(any(side in _PERMISSIVE for side in re.split(r"\s+or\s+", p)) for p in parts)


def licence_of(about: Any) -> str:
    """What the package says of its licence; "" when it does not say it in a few words."""
    if stated := about.get("License-Expression"):
        return stated.strip()
    lines = about.get_all("Classifier") or []
    names = [c.split("::")[-1].strip() for c in lines if c.startswith("License ::")]
    if names:
        return " AND ".join(n.removesuffix(" License") if "(" in n else n for n in names)
    field = (about.get("License") or "").strip()
    return field if "\n" not in field and len(field) < 60 else ""


def installed_packages() -> list[Package]:
    """The permissively licensed packages of the running Python, by name, with their .py files."""
    found: dict[str, Package] = {}
    for distribution in metadata.distributions():
        about: Any = distribution.metadata
        name = about.get("Name") or ""
        licence = licence_of(about)
        parts = licence.split(" AND ")
        if not name or name.lower() in found or not all(map(permissive, parts)):
            continue
        files = []
        for file in distribution.files or ():
            inside = {part.lower() for part in file.parts}
            if file.suffix != ".py" or inside & (NOT_LEARNED | _BUNDLED) or ".." in inside:
                continue
            if not file.name.startswith(("test_", "_version")):
                files.append((file.as_posix(), Path(str(distribution.locate_file(file)))))
        if files:
            found[name.lower()] = Package(name, about["Version"], licence, tuple(files))
    return [found[name] for name in sorted(found)]


def read_packages(
    packages: Iterable[Package], *, max_bytes_each: int
) -> list[tuple[Package, list[Document]]]:
    """Each package's documents: at most so many bytes of it, chosen by a hash of the names."""
    read = []
    for package in packages:
        files = sorted(package.files, key=lambda f: hashlib.sha256(f[0].encode()).digest())
        files = [f for f in files if f[1].is_file() and f[1].stat().st_size < 200_000]
        documents, _ = read_files(files, max_bytes=max_bytes_each)
        if documents:
            read.append((package, sorted(documents)))
    return read
