"""Which packages may be learned from, and that what is read is theirs."""

from pathlib import Path

import pytest

from descent.data.installed import Package, installed_packages, permissive, read_packages


@pytest.mark.parametrize(
    "licence",
    [
        "MIT", "mit license", "BSD-3-Clause", "BSD License", "New BSD License", "Apache 2.0 License",
        "Apache License, Version 2.0", "Apache Software License", "PSF-2.0", "ISC",
        "Apache-2.0 AND Apache-2.0 WITH LLVM-exception AND BSD-3-Clause", "MIT OR GPL-3.0-only",
        "(Apache-2.0 OR BSD-2-Clause) AND MIT",
    ],
)  # fmt: skip
def test_permissive(licence):
    assert permissive(licence)


@pytest.mark.parametrize(
    "licence",
    ["", "GPL-3.0-only", "MPL-2.0 AND MIT", "LGPL-2.1", "Proprietary", "MIT AND GPL-2.0-only",
     "see LICENSE", "Apache-1.0"],
)  # fmt: skip
def test_not_permissive(licence):
    assert not permissive(licence)


def test_numpy_is_found_and_copyleft_is_not():
    found = {package.name.lower(): package for package in installed_packages()}
    assert "numpy" in found
    assert "BSD" in found["numpy"].licence
    assert "hypothesis" not in found  # MPL
    for package in found.values():
        folders = {part for name, _ in package.files for part in Path(name).parts[:-1]}
        assert not folders & {"tests", "test", "_vendor"}, package.name


def test_the_share_of_a_package_is_bounded_and_the_same_each_time(tmp_path):
    files = []
    for i in range(20):
        (tmp_path / f"m{i}.py").write_text(f"x = {i}\n" * 100)
        files.append((f"m{i}.py", tmp_path / f"m{i}.py"))
    package = Package("p", "1", "MIT", tuple(files))
    [(_, some)] = read_packages([package], max_bytes_each=3000)
    [(_, again)] = read_packages([package], max_bytes_each=3000)
    assert some == again
    assert 0 < sum(len(text) for _, text in some) <= 3000
