"""Writing whole files or nothing (docs/command.md, Two switches)."""

import errno
import os
import stat
import threading
from pathlib import Path

import numpy as np
import pytest

from nanobragg.errors import FileFormatError
from nanobragg.io import write_float
from nanobragg.io.atomic import read_bytes, replacing, write_bytes


def test_new_file_has_the_usual_permissions_and_replaced_file_keeps_its_own(tmp_path):
    new, old = tmp_path / "new", tmp_path / "old"
    mask = os.umask(0o027)
    try:
        write_bytes(new, [b"ab", b"cd"])
    finally:
        os.umask(mask)
    assert new.read_bytes() == b"abcd" and stat.S_IMODE(new.stat().st_mode) == 0o640
    old.write_bytes(b"before")
    old.chmod(0o604)
    write_bytes(old, [b"after"])
    assert old.read_bytes() == b"after" and stat.S_IMODE(old.stat().st_mode) == 0o604
    assert sorted(os.listdir(tmp_path)) == ["new", "old"]


def test_the_mask_of_the_process_is_left_alone(tmp_path, monkeypatch):
    """Threads share it: setting it, even for a moment, changes the permissions of what others write."""
    monkeypatch.setattr(os, "umask", lambda mask: pytest.fail("the mask was touched"))
    write_bytes(tmp_path / "new", [b"x"])
    with replacing(tmp_path / "other") as temporary:
        Path(temporary).write_bytes(b"y")
    assert sorted(os.listdir(tmp_path)) == ["new", "other"]


def test_an_error_in_what_is_written_stays_what_it_is(tmp_path):
    with pytest.raises(ValueError, match="no such image") as caught, replacing(tmp_path / "new"):
        raise ValueError("no such image")
    assert not isinstance(caught.value, FileFormatError) and os.listdir(tmp_path) == []


def test_names_in_bytes(tmp_path):
    path = os.fsencode(tmp_path / "new")
    write_bytes(path, [b"x"])
    write_bytes(path, [b"xy"])
    assert read_bytes(path) == b"xy"


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes protected files")
def test_write_protected_file_is_kept(tmp_path):
    path = tmp_path / "image"
    path.write_bytes(b"before")
    path.chmod(0o444)
    with pytest.raises(FileFormatError, match="write-protected"):
        write_bytes(path, [b"after"])
    assert path.read_bytes() == b"before" and os.listdir(tmp_path) == ["image"]


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()])
def test_failure_half_way_leaves_the_old_file_and_nothing_else(tmp_path, error):
    path = tmp_path / "image"
    path.write_bytes(b"before")

    def chunks():
        yield b"half"
        raise error

    with pytest.raises((FileFormatError, KeyboardInterrupt)) as caught:
        write_bytes(path, chunks())
    assert path.read_bytes() == b"before" and os.listdir(tmp_path) == ["image"]
    if isinstance(error, OSError):
        assert str(path) in str(caught.value) and "No space left" in str(caught.value)


def test_links_are_written_through(tmp_path):
    target, soft, hard = tmp_path / "target", tmp_path / "soft", tmp_path / "hard"
    target.write_bytes(b"before")
    soft.symlink_to(target)
    os.link(target, hard)
    write_bytes(soft, [b"through soft"])
    assert soft.is_symlink() and target.read_bytes() == b"through soft"
    write_bytes(hard, [b"through hard"])
    assert target.read_bytes() == b"through hard" and target.samefile(hard)


def test_pipes_are_written_through(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    received = []
    reader = threading.Thread(target=lambda: received.append(pipe.read_bytes()), daemon=True)
    reader.start()
    write_bytes(pipe, [b"through"])
    reader.join(10)
    assert received == [b"through"] and stat.S_ISFIFO(pipe.stat().st_mode)


def test_devices_are_written_through():
    write_bytes("/dev/null", [b"x"])
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full")
@pytest.mark.parametrize("size", [10, 10_000_000])
def test_full_disk(size):
    with pytest.raises(FileFormatError, match=r"/dev/full.*No space left"):
        write_bytes("/dev/full", [bytes(size)])


def test_unwritable_places(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    for path, words in (
        (tmp_path / "file" / "below", "Not a directory"),
        (tmp_path / "missing" / "x", "No such file"),
        ("/proc/nanobragg.img", "written"),
        (tmp_path, "directory"),
        ("nul\0byte", "null"),
    ):
        with pytest.raises(FileFormatError, match=words):
            write_float(path, np.zeros((2, 2)))
    assert os.listdir(tmp_path) == ["file"]


def test_unreadable(tmp_path):
    for path in (tmp_path / "missing", tmp_path, "nul\0byte"):
        with pytest.raises(FileFormatError, match="cannot be read"):
            read_bytes(path)


def test_an_interrupt_as_the_file_appears_leaves_nothing(tmp_path, monkeypatch):
    opened = os.open

    def interrupted(*args, **options):
        os.close(opened(*args, **options))
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "open", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_bytes(tmp_path / "a", [b"x"])
    with pytest.raises(KeyboardInterrupt), replacing(tmp_path / "b"):
        pass
    assert os.listdir(tmp_path) == []
