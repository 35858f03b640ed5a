"""Fetching a published file: whole and with the right checksum under its final name, or not at all."""

from __future__ import annotations

import hashlib
import http.client
import urllib.error
import urllib.parse
import urllib.request
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from qshield_qiskit.data.arrays import one_line
from qshield_qiskit.data.dataset import SourceFile
from qshield_qiskit.errors import InputError, UnavailableError

TIMEOUT = 10.0  # seconds without a single byte; one attempt, so that a machine without network hears soon
CHUNK = 1 << 18  # bytes


@dataclass(frozen=True)
class RemoteFile:
    """A published file: its address and the md5 that its publisher gives."""

    url: str
    md5: str

    @property
    def filename(self) -> str:
        """Last part of the address's path."""
        return Path(urllib.parse.urlsplit(self.url).path).name

    def address(self, mirror: str | None) -> str:
        """Where to fetch it: the publisher's address, or the file's name under a mirror's."""
        return self.url if mirror is None else f"{mirror.rstrip('/')}/{self.filename}"


def fetch(name: str, files: Sequence[RemoteFile], folder: Path, mirror: str | None = None) -> None:
    """Download the files, with a progress bar on stderr.

    Two processes may do this at once: each writes under a name of its own and the last one moves into place.

    Args:
        name: The dataset, for the error.
        files: What is missing.
        folder: Where it goes; made if need be.
        mirror: Base address (http, https or file) of a copy, instead of the publisher's.

    Raises:
        InputError: It cannot be had, or is not what was published. Says which files to put where.
    """
    if mirror is not None and not mirror.startswith(("http://", "https://", "file://")):
        raise InputError(f"data.mirror is {mirror!r}; expected an address: http://, https:// or file://")
    wanted = ", ".join(file.filename for file in files)
    origin = "" if mirror is None else f" (published at {files[0].url.rpartition('/')[0]})"
    remedy = (
        f"put {wanted} in {folder}{origin}, or set data.root (QSHIELD_DATA) or data.mirror to where a copy is"
    )
    for file in files:
        address = file.address(mirror)
        try:
            with _new_file(folder / file.filename) as partial:
                _download(address, partial, file)
        except InputError:
            raise
        except urllib.error.HTTPError as error:
            kind = UnavailableError if error.code >= 500 else InputError
            raise kind(f"{name}: {address} answers {error.code} {error.reason}; {remedy}") from error
        except (OSError, ValueError, http.client.HTTPException, _BadTransferError) as error:
            reason = error.reason if isinstance(error, urllib.error.URLError) else error
            text = getattr(reason, "strerror", None) or one_line(reason)
            kind = InputError if isinstance(error, ValueError) else UnavailableError  # no address at all
            raise kind(f"{name}: cannot download {address} ({text}); {remedy}") from error


class _BadTransferError(Exception):
    """What arrived is not the published file."""


@contextmanager
def _new_file(target: Path) -> Iterator[BinaryIO]:
    """A file under a name of its own, which takes the target's name at the end, or vanishes on any error."""
    partial = target.with_name(f".{target.name}.{uuid.uuid4().hex}.part")  # same folder: moving it is atomic
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        file = partial.open("xb")
    except OSError as error:
        remedy = "set data.root (QSHIELD_DATA) to a folder that can be written to"
        raise InputError(f"cannot write to {target.parent} ({error.strerror}); {remedy}") from error
    try:
        with file:
            yield file
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)


def _download(address: str, out: BinaryIO, file: RemoteFile) -> None:
    request = urllib.request.Request(address, headers={"User-Agent": "qshield-qiskit"})
    columns = TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn()
    digest = hashlib.md5(usedforsecurity=False)
    with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:
        length = answer.headers.get("Content-Length")
        expected = int(length) if length and length.isdigit() else None
        with Progress(*columns, console=Console(stderr=True)) as progress:
            task = progress.add_task(file.filename, total=expected)
            while chunk := answer.read(CHUNK):
                out.write(chunk)
                digest.update(chunk)
                progress.advance(task, len(chunk))
    if expected is not None and out.tell() != expected:
        raise _BadTransferError(f"it stopped after {out.tell():,} of {expected:,} bytes; nothing was kept")
    if digest.hexdigest() != file.md5:
        raise _BadTransferError(f"its md5 is {digest.hexdigest()}, published is {file.md5}; nothing was kept")


def describe(path: Path, published_md5: str | None = None) -> SourceFile:
    """Digest a file as it lies there, for the record of a run."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
    return SourceFile(str(path), digest, published_md5)
