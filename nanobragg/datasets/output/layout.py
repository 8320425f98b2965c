"""Where things lie in a data set, and what says that a shard is complete.

A folder holds ``dataset.json`` (what every part must agree with), ``recipe.json``, ``shards/shard_00000.nxs`` with a record
``.json`` beside it, and ``log/`` (time, host: what differs from run to run). A shard counts when its record is there and its
files have the sizes and checksums that the record says.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import time
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from nanobragg.datasets.recipe.recipe import FORMAT, Recipe, check_format
from nanobragg.errors import ConfigError, FileFormatError
from nanobragg.io.atomic import read_bytes, write_bytes
from nanobragg.lazy import dataclass

_PART = ".part"
_OLD = 24 * 3600.0
"""Age from which an unfinished file of another machine is taken for left behind [s]."""
_PIECE = 1 << 20


@dataclass(frozen=True)
class Span:
    """The frames of a shard."""

    number: int
    first: int
    stop: int

    def __len__(self) -> int:
        return self.stop - self.first


def spans(n_images: int, series: int, shard_size: int) -> list[Span]:
    """The shards of a data set; none holds images of two rotation series."""
    found: list[Span] = []
    length = n_images if series == 1 else series
    for begin in range(0, n_images, length):
        end = min(begin + length, n_images)
        for first in range(begin, end, shard_size):
            found.append(Span(len(found), first, min(first + shard_size, end)))
    return found


def spans_of(recipe: Recipe) -> list[Span]:
    """The shards of a recipe."""
    settings = recipe.settings
    return spans(settings.n_images, settings.length, settings.shard_size)


@dataclass(frozen=True, eq=False)
class Folder:
    """The folder of a data set."""

    folder: Path

    @property
    def shards(self) -> Path:
        """Where the shards lie."""
        return self.folder / "shards"

    @property
    def images(self) -> Path:
        """Where images lie that have a file each."""
        return self.folder / "images"

    @property
    def log(self) -> Path:
        """Where what differs from run to run lies."""
        return self.folder / "log"

    def shard(self, number: int, suffix: str) -> Path:
        """A file of a shard."""
        return self.shards / f"shard_{number:05d}{suffix}"

    @cached_property
    def description(self) -> dict[str, Any]:
        """What ``dataset.json`` says.

        Raises
        ------
        FileFormatError
            When there is no data set, or one of a later format.
        """
        path = self.folder / "dataset.json"
        if not path.is_file():
            raise FileFormatError(self.folder, "holds no data set (dataset.json)")
        data = _json(path)
        try:
            check_format(data.get("format"))
        except ConfigError as error:
            raise FileFormatError(path, str(error)) from None
        return data

    @cached_property
    def recipe(self) -> Recipe:
        """The recipe that it was begun with."""
        path = self.folder / "recipe.json"
        # by the bytes of the file: a later version of the package, whose recipes say more, reads it too
        if hashlib.sha256(read_bytes(path)).hexdigest() != self.description.get("recipe_sha256"):
            raise FileFormatError(path, "is not the recipe that dataset.json names; has it been changed?")
        try:
            return Recipe.from_dict(_json(path))
        except ConfigError as error:
            raise FileFormatError(path, str(error)) from None

    def begin(self, recipe: Recipe, pinned: Mapping[str, Any]) -> None:
        """Make the folder, or find it begun with the same recipe: several runs may do so at once.

        Raises
        ------
        FileFormatError
            When it holds the data set of another recipe, or something else.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            if not (self.folder / "dataset.json").exists() and any(
                entry.name not in ("recipe.json", "shards", "log", "images") for entry in self.folder.iterdir()
                if not entry.name.startswith(".")
            ):  # fmt: skip
                raise FileFormatError(self.folder, "is not empty and holds no data set; choose another folder")
            for folder in (self.shards, self.log, *([self.images] if recipe.settings.images != "nxmx" else [])):
                folder.mkdir(exist_ok=True)
        except OSError as error:
            raise FileFormatError(self.folder, f"cannot be made: {error.strerror}") from None
        if not (self.folder / "dataset.json").exists():
            text = json.dumps(recipe.to_dict(), allow_nan=False).encode()
            write_bytes(self.folder / "recipe.json", [text])
            self._create({
                "format": FORMAT, "digest": recipe.digest, "recipe_sha256": hashlib.sha256(text).hexdigest(),
                "n_images": recipe.settings.n_images,
                "seed": recipe.settings.seed, "kind": recipe.settings.kind, "images": recipe.settings.images,
                "shards": len(spans_of(recipe)), "pinned": dict(pinned),
            })  # fmt: skip
        # the digest of another version means nothing here; that version is refused by its number
        same_version = self.description.get("pinned", {}).get("nanobragg") == pinned.get("nanobragg")
        if same_version and self.description.get("digest") != recipe.digest:
            raise FileFormatError(self.folder, "holds the data set of another recipe; choose another folder")

    def give_up(self) -> None:
        """Take away what `begin` has made, as long as nothing else is there."""
        made = [self.folder / "dataset.json", self.folder / "recipe.json"]
        if any(path.is_file() and path not in made for path in self.folder.rglob("*")):
            return
        for path in made:
            path.unlink(missing_ok=True)
        for place in (self.shards, self.log, self.images, self.folder):
            with contextlib.suppress(OSError):  # not empty, or not there
                place.rmdir()

    def _create(self, data: Mapping[str, Any]) -> None:
        """Write ``dataset.json`` unless another run was quicker."""
        made = self.folder / f".dataset-{os.urandom(4).hex()}"
        write_bytes(made, [json.dumps(data, indent=1).encode(), b"\n"])
        try:
            os.link(made, self.folder / "dataset.json")
        except FileExistsError:
            pass
        except OSError:  # a file system without links
            os.replace(made, self.folder / "dataset.json")
            return
        made.unlink()

    def record(self, number: int) -> dict[str, Any] | None:
        """The record of a shard; None: it is not complete."""
        path = self.shard(number, ".json")
        try:
            return _json(path) if path.is_file() else None
        except FileFormatError:
            return None

    def trouble(self, number: int, *, checksums: bool = True) -> str | None:
        """What is wrong with a shard; None: nothing."""
        record = self.record(number)
        if record is None:
            return "is not there"
        for name, says in record.get("files", {}).items():
            path = self.folder / name
            if not path.is_file():
                return f"{name} is missing"
            if path.stat().st_size != says["bytes"]:
                return f"{name} has {path.stat().st_size} bytes, and had {says['bytes']}"
            if checksums and checksum_of(path) != says["sha256"]:
                return f"{name} is damaged: its checksum has changed"
        return None

    def temporary(self, number: int) -> Path:
        """A name for an unfinished shard, which says who makes it."""
        return self.shards / f".shard_{number:05d}.{_host()}.{os.getpid()}.{os.urandom(3).hex()}{_PART}"

    def sweep(self, *, complete: bool = False) -> list[str]:
        """Remove unfinished files whose makers are gone; returns their names. Of a data set that is complete: all of them."""
        unnamed = [*self.shards.glob(".nanobragg-*"), *self.images.glob(".nanobragg-*")]
        gone = []
        for path in [*self.shards.glob(f".shard_*{_PART}"), *unnamed, *self.log.glob(".beat_*")]:
            try:
                if _is_left_behind(path) or (complete and path in unnamed):
                    path.unlink()
                    gone.append(path.name)
            except OSError:
                continue
        return gone

    def complete(self) -> Iterator[tuple[Span, dict[str, Any]]]:
        """The shards whose records are there."""
        settings = self.recipe.settings
        for span in spans(settings.n_images, settings.length, settings.shard_size):
            record = self.record(span.number)
            if record is not None:
                yield span, record


def _is_left_behind(path: Path) -> bool:
    parts = path.name.split(".")
    old = time.time() - path.stat().st_mtime > _OLD
    if len(parts) != 6 or parts[2] != _host() or not parts[3].isdigit():
        return old
    pid = int(parts[3])
    return pid != os.getpid() and (old or not _runs(pid))


def _runs(pid: int) -> bool:
    """Whether there is such a process; one that has died and is waited for is none."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (OSError, IndexError):
        return True


def _host() -> str:
    import platform

    return "".join(c if c.isalnum() or c == "-" else "-" for c in platform.node()) or "host"


def checksum_of(path: Path) -> str:
    """SHA-256 of a file."""
    found = hashlib.sha256()
    with open(path, "rb") as file:
        while piece := file.read(_PIECE):
            found.update(piece)
    return found.hexdigest()


def _json(path: Path) -> dict[str, Any]:
    try:
        data = json.loads(read_bytes(path))
    except ValueError as error:
        raise FileFormatError(path, f"is not JSON: {error}") from None
    if not isinstance(data, dict):
        raise FileFormatError(path, "must be a JSON object")
    return data
