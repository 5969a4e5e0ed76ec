"""Google Drive, from a Colab notebook: copies between a mounted Drive and the working folder.

Outside Colab there is no Drive: every function says so. A checkpoint is copied as a tar file, or as
a folder, as gpt-2-simple does.
"""

from __future__ import annotations

import shutil
import tarfile
from pathlib import Path

__all__ = [
    "copy_checkpoint_from_gdrive", "copy_checkpoint_to_gdrive", "copy_file_from_gdrive",
    "copy_file_to_gdrive", "is_mounted", "mount_gdrive",
]  # fmt: skip

DRIVE = Path("/content/drive")


def mount_gdrive() -> None:
    """Ask Colab to mount the user's Drive.

    Raises:
        RuntimeError: outside Colab.
    """
    try:
        from google.colab import drive  # pyright: ignore[reportMissingImports]
    except ImportError:
        raise RuntimeError(
            "Google Drive can be mounted in a Colab notebook only; elsewhere copy files as usual "
            "(a run is the folder checkpoint/RUN)"
        ) from None
    drive.mount(str(DRIVE))


def is_mounted() -> None:
    """Check that Drive is there.

    Raises:
        RuntimeError: it is not.
    """
    if not DRIVE.is_dir():
        raise RuntimeError("Google Drive is not mounted; in Colab call mount_gdrive() first")


def _mine() -> Path:
    is_mounted()
    return next((p for p in (DRIVE / "MyDrive", DRIVE / "My Drive") if p.is_dir()), DRIVE)


def _tar(run_name: str) -> str:
    return f"checkpoint_{run_name}.tar"


def copy_checkpoint_to_gdrive(run_name: str = "run1", copy_folder: bool = False) -> None:
    """Copy checkpoint/run_name to Drive."""
    target, source = _mine(), Path("checkpoint") / run_name
    if copy_folder:
        shutil.copytree(source, target / source, dirs_exist_ok=True)
        return
    with tarfile.open(target / _tar(run_name), "w") as tar:
        tar.add(source)


def copy_checkpoint_from_gdrive(run_name: str = "run1", copy_folder: bool = False) -> None:
    """Copy it back; a tar file may only write inside the working folder."""
    source = _mine()
    if copy_folder:
        folder = Path("checkpoint") / run_name
        shutil.copytree(source / folder, folder, dirs_exist_ok=True)
        return
    with tarfile.open(source / _tar(run_name)) as tar:
        tar.extractall(".", filter="data")


def copy_file_to_gdrive(file_path: str) -> None:
    """Copy a file to Drive's top folder."""
    shutil.copyfile(file_path, _mine() / Path(file_path).name)


def copy_file_from_gdrive(file_path: str) -> None:
    """Copy a file from Drive's top folder."""
    shutil.copyfile(_mine() / file_path, file_path)
