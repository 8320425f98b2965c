"""What others on the machine, a hostile page and a clumsy user may try."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import stat
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

import h5py
import numpy as np
import pytest
from wire import Wire, small

import nanobragg as nb
from nanobragg.explorer.serving import server as serving
from nanobragg.explorer.serving.messages import as_text, mistake


@pytest.fixture(scope="module")
def explorer() -> Iterator[nb.Explorer]:
    with nb.explore(small()) as one:
        yield one


def request(explorer: nb.Explorer, text: bytes, *, end: bool = False) -> bytes:
    """The answer to bytes that are sent as they are."""
    with socket.create_connection(("127.0.0.1", explorer.port), timeout=60) as one:
        one.sendall(text)
        if end:
            one.shutdown(socket.SHUT_WR)
        found = b""
        while part := one.recv(65536):
            found += part
        return found


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"])
@pytest.mark.parametrize(
    "path", ["/", "/wire", "/export/toml", "/wire.js", "/a/b", "/export/", "//", "/%00", "/.git/config"]
)
def test_every_place_and_method_asks_for_the_token(explorer: nb.Explorer, method: str, path: str) -> None:
    found = request(explorer, f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{explorer.port}\r\nContent-Length: 0\r\n"
                              "Connection: close\r\n\r\n".encode())  # fmt: skip
    head = found.partition(b"\r\n\r\n")[0].decode()
    assert head.startswith("HTTP/1.1 403 "), head
    assert "Server:" not in head and explorer.url.rpartition("=")[2] not in found.decode()


@pytest.mark.parametrize(
    "text",
    [
        b"\x00\xff\x16\x03\x01", b"GET\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n", b"GET /?token=%ff HTTP/1.0\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: " + b"a" * 70000 + b"\r\n\r\n",
        b"POST /?token=x HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 999999999999\r\n\r\n",
        b"GET http://evil.example/ HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n",
    ],
    ids=["bytes", "short", "no host", "no text", "long", "large", "proxy", "two hosts"],
)  # fmt: skip
def test_what_is_no_request_is_answered_or_hung_up(explorer: nb.Explorer, text: bytes) -> None:
    found = request(explorer, text, end=True)
    assert found == b"" or found.startswith((b"HTTP/1.1 4", b"HTTP/1.0 4")), found
    with urllib.request.urlopen(explorer.url, timeout=60) as page:
        assert page.status == 200


def test_it_listens_on_one_address_of_this_machine(explorer: nb.Explorer) -> None:
    """/proc/net/tcp has addresses in the byte order of the machine: 0100007F is 127.0.0.1; state 0A listens."""
    if not os.path.exists("/proc/net/tcp"):
        pytest.skip("needs Linux's list of sockets")
    found = []
    for name in ("/proc/net/tcp", "/proc/net/tcp6"):
        if os.path.exists(name):
            rows = [line.split() for line in Path(name).read_text().splitlines()[1:]]
            found += [row[1] for row in rows if row[3] == "0A" and int(row[1].partition(":")[2], 16) == explorer.port]
    assert found == [f"0100007F:{explorer.port:04X}"]


@pytest.mark.parametrize(
    ("host", "name", "local"),
    [("localhost", "localhost", True), ("0.0.0.0", None, False), ("", None, False), ("0", None, False)],
)
def test_other_addresses_are_told_from_this_machine(host: str, name: str | None, local: bool) -> None:
    with nb.explore(small(), host=host) as one:
        assert one.is_local == local
        assert urlsplit(one.url).hostname == (name or socket.gethostname()).lower()
        with urllib.request.urlopen(f"http://127.0.0.1:{one.port}/?{urlsplit(one.url).query}", timeout=60) as page:
            assert page.status == 200


def test_names_of_the_host_are_known_in_all_spellings(explorer: nb.Explorer, monkeypatch: pytest.MonkeyPatch) -> None:
    server = explorer._server
    assert (
        server.knows_host("LocalHost")
        and server.knows_host("[::1]")
        and not server.knows_host("localhost.evil.example")
    )
    monkeypatch.setattr(server, "host", "2001:DB8::1")
    assert server.knows_host("[2001:db8::1]") and not server.knows_host("[2001:db8::2]")
    assert server.url.startswith("http://[2001:DB8::1]:")


@pytest.mark.parametrize("port", [-1, 65536, 10**9])
def test_a_port_that_is_none_is_told(port: int) -> None:
    with pytest.raises(nb.ConfigError, match="within 0 and 65535"):
        nb.explore(small(), port=port)


def test_many_connections_are_cut_off_and_pages_go_on(explorer: nb.Explorer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half-open connections of somebody without the token: the page that is open is answered, and later ones are."""
    monkeypatch.setattr(serving, "_MOST_CONNECTIONS", 12)

    async def play() -> None:
        async with Wire(explorer) as page:
            others = [socket.create_connection(("127.0.0.1", explorer.port), timeout=60) for _ in range(30)]
            with contextlib.suppress(ConnectionError):  # which is how it is seen, or by an end
                others[-1].sendall(b"GET / HT")
                assert others[-1].recv(1) == b""
            await page.say({"do": "set", "path": "detector.distance_mm", "value": 77})
            await page.hear("state", "77")
            for one in others:
                one.close()
        while True:
            try:
                await asyncio.to_thread(lambda: urllib.request.urlopen(explorer.url, timeout=60).close())
                return
            except (urllib.error.URLError, ConnectionError):
                await asyncio.sleep(0.01)  # until the server has seen that they have gone

    asyncio.run(play())


def test_a_page_that_takes_nothing_is_hung_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "_MOST_UNSENT", 1 << 20)
    with nb.explore(small()) as explorer:
        before = threading.active_count()
        with socket.create_connection(("127.0.0.1", explorer.port), timeout=60) as one:
            one.sendall(f"GET /wire?{urlsplit(explorer.url).query} HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\n"
                        "Connection: Upgrade\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n"
                        "Sec-WebSocket-Version: 13\r\n\r\n".encode())  # fmt: skip
            assert one.recv(12) == b"HTTP/1.1 101"
            while not explorer._desk._pages:
                pass
            (page,) = explorer._desk._pages
            while page in explorer._desk._pages:
                page.send("x" * (1 << 18))
        assert threading.active_count() == before


def test_the_number_of_pages_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "_MOST_PAGES", 2)

    async def play(explorer: nb.Explorer) -> None:
        async with Wire(explorer) as one, Wire(explorer) as two, Wire(explorer) as three:
            await one.hear("menus")
            await two.hear("menus")
            assert await three._wire.read_message() is None and three._wire.close_code == 1013

    with nb.explore(small()) as explorer:
        asyncio.run(play(explorer))


def test_a_mistake_of_ours_is_logged_without_the_token(
    explorer: nb.Explorer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: Any) -> None:
        raise RuntimeError("a defect")

    async def play() -> None:
        async with Wire(explorer) as page:
            assert await page._wire.read_message() is None

    monkeypatch.setattr(explorer._desk, "opened", fail)
    with caplog.at_level(logging.DEBUG):
        asyncio.run(play())
    assert "a defect" in caplog.text and explorer.url.rpartition("=")[2] not in caplog.text


def test_the_token_is_in_no_list_of_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    """A browser is started with the name of a file that its owner alone can read, not with the address."""
    opened: list[str] = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    with nb.explore(small(), browser=True) as explorer:
        (shown,) = opened
        assert shown.startswith("file:///") and explorer.url.rpartition("=")[2] not in shown
        path = Path(url2pathname(urlsplit(shown).path))
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert f"url={explorer.url}" in path.read_text()
    assert not path.exists()


def test_two_pages_see_the_same_and_a_third_finds_it(explorer: nb.Explorer) -> None:
    async def play() -> None:
        async with Wire(explorer) as one, Wire(explorer) as two:
            await two.hear("state")
            await one.say({"do": "set", "path": "detector.distance_mm", "value": 83})
            await two.hear("state", "83")
        async with Wire(explorer) as three:
            await three.hear("state", '"value": 83')
            await three.until_exact()

    asyncio.run(play())


@pytest.mark.parametrize(
    ("path", "value"),
    [("beam.fluence_per_m2", "1e308"), ("detector.distance_mm", "1e-300"), ("detector.distance_mm", "1e300"),
     ("beam.wavelength_angstrom", "1e-300"), ("detector.pixel_size_mm", "1e-300"), ("crystal.unit_cell.a", "1e300"),
     ("crystal.mosaic.n_domains", "9" * 400), ("crystal.n_cells[0]", "9" * 18), ("readout.psf.fwhm_um", "1e300")],
)  # fmt: skip
@pytest.mark.parametrize("scale", ["log", "linear", "percentile"])
@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_extreme_values_leave_messages_in_json(explorer: nb.Explorer, path: str, value: str, scale: str) -> None:
    """Messages hold neither infinite numbers nor NaN, nothing is warned of on the terminal, and undo leads back."""
    before = explorer.experiment

    async def play() -> None:
        async with Wire(explorer) as page:
            await page.say({"do": "view", "view": {"scale": scale}})
            await page.say({"do": "set", "path": path, "value": value, "type": "scalar"})
            await page.say({"do": "switch", "name": "background", "on": True})
            await page.hear("state")
            await page.say({"do": "hover", "column": 20, "row": 20})
            await page.hear("hover")
            await page.say({"do": "reset"})
            await page.hear("state", '"value": null')
            await page.until_exact()
            assert not any("not understood" in one.get("text", "") for one in page.heard), page.heard[-3:]

    asyncio.run(play())
    explorer.experiment = before


def test_infinite_numbers_are_null_and_long_texts_are_cut() -> None:
    assert as_text({"a": [1.5, float("nan"), (float("inf"), "x")], "b": {"c": -float("inf")}}) == (
        '{"a": [1.5, null, [null, "x"]], "b": {"c": null}}'
    )
    assert len(mistake("x" * 10**6)["text"]) < 3000


def unreadable(folder: Path) -> dict[str, Path | str]:
    """Names of files that are no images, by what they are."""
    whole = folder / "whole.nxs"
    with h5py.File(whole, "w") as file:
        file["/entry/data/data"] = np.zeros((1, 50, 60))
    found: dict[str, Path | str] = {"missing": folder / "none.cbf", "folder": folder, "device": "/dev/zero"}
    for name, content in (
        ("empty", b""),
        ("garbage", bytes(range(256)) * 20),
        ("truncated", whole.read_bytes()[:9000]),
    ):
        found[name] = folder / f"{name}.cbf"
        (folder / f"{name}.cbf").write_bytes(content)
    os.mkfifo(folder / "pipe.cbf")
    (folder / "loop.cbf").symlink_to("loop.cbf")
    with (folder / "sparse.cbf").open("wb") as raw:
        raw.write(b"###CBF: VERSION")
        raw.truncate(1 << 35)
    with h5py.File(folder / "huge.nxs", "w") as file:
        file.create_dataset("/entry/data/data", shape=(1, 200000, 200000), dtype="f8", chunks=(1, 1000, 1000))
    return found | {"pipe": folder / "pipe.cbf", "loop": folder / "loop.cbf", "sparse": folder / "sparse.cbf",
                    "huge": folder / "huge.nxs", "no name": "a\0b", "long": "x" * 5000, "user": "~nobody-at-all/x"}  # fmt: skip


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes and devices in the file system")
def test_files_that_cannot_be_read_are_told(explorer: nb.Explorer, tmp_path: Path) -> None:
    said = {"missing": "No such file", "folder": "is no file", "device": "is no file", "pipe": "is no file",
            "loop": "symbolic links", "sparse": "32.0 GiB", "huge": "298.0 GiB", "truncated": "HDF5"}  # fmt: skip

    async def play() -> None:
        async with Wire(explorer) as page:
            for kind, name in unreadable(tmp_path).items():
                await page.say({"do": "measure", "file": str(name)})
                found = await page.hear("message")
                assert found["level"] == "error" and said.get(kind, "") in found["text"], (kind, found)
            assert explorer._desk.comparing.measured is None

    asyncio.run(play())


def test_what_takes_long_holds_nothing_up(explorer: nb.Explorer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file on a disk that does not answer: values still move, and the picture follows."""
    go_on = threading.Event()
    monkeypatch.setattr("nanobragg.explorer.comparison.comparing.read_measured", lambda *_: go_on.wait(60) and None)

    async def play() -> None:
        async with Wire(explorer) as page:
            await page.say({"do": "measure", "file": "slow.cbf"})
            await page.say({"do": "set", "path": "detector.distance_mm", "value": 91.5})
            await page.hear("state", "91.5")
            await page.until_exact()
            assert not go_on.is_set()
            go_on.set()
            await page.hear("message")

    asyncio.run(play())


def test_a_flood_of_questions_is_answered_with_the_newest(explorer: nb.Explorer) -> None:
    async def play() -> None:
        async with Wire(explorer) as page:
            for i in range(2000):
                await page.say({"do": "profile", "line": [[0, 0], [i % 50, 40]]})
                await page.say({"do": "hover", "column": i % 60, "row": i % 50})
            await page.say({"do": "profile", "line": [[0, 0], [7, 7]]})
            found = await page.hear("profile", "to fast 7, slow 7")
            assert found["said"].startswith("fast 0, slow 0 to fast 7, slow 7")
            assert sum(one["kind"] == "profile" for one in page.heard) <= 2001

    asyncio.run(play())


def test_nothing_is_left_when_it_is_closed() -> None:
    before = set(threading.enumerate())
    with nb.explore(small()) as explorer:
        explorer.image(60)
    left = [
        one.name for one in set(threading.enumerate()) - before if one.name != "nanobragg"
    ]  # the core's wait for more
    assert left == []
    with socket.socket() as one:
        assert one.connect_ex(("127.0.0.1", explorer.port)) != 0


def test_an_export_that_waits_ends_with_the_server() -> None:
    long = (
        small()
        .replace("crystal.mosaic", nb.Mosaic(spread_deg=1.0, n_domains=200_000))
        .replace("sampling.oversample", 30)
    )
    with nb.explore(long) as explorer:
        answers: list[str] = []

        def ask() -> None:
            try:
                with urllib.request.urlopen(explorer.url.replace("/?", "/export/png?"), timeout=60) as page:
                    answers.append(page.read().decode())
            except (OSError, urllib.error.URLError) as error:
                answers.append(str(error))

        asking = threading.Thread(target=ask)
        asking.start()
    asking.join(60)
    assert len(answers) == 1


def test_a_rendering_that_was_cancelled_is_told_and_can_be_asked_for() -> None:
    """Whoever waits for the image is told at once; "Render it anyway" begins once more."""
    slow = small().replace("crystal.mosaic", nb.Mosaic(spread_deg=1.0, n_domains=40_000))

    async def play(explorer: nb.Explorer) -> None:
        async with Wire(explorer) as page:
            await page.hear("progress")
            await page.say({"do": "cancel"})
            found = await page.hear("message")
            assert found["level"] == "ask" and "canceled" in found["text"]
            with pytest.raises(nb.ConfigError, match="canceled"):
                explorer.image()
            await page.say({"do": "insist"})
            await page.until_exact()

    with nb.explore(slow) as explorer:
        asyncio.run(play(explorer))
        assert np.array_equal(explorer.image(60), nb.simulate(slow))


def test_a_change_that_is_refused_is_told_with_its_number(explorer: nb.Explorer) -> None:
    """Or a page would wait for its picture."""

    async def play() -> None:
        async with Wire(explorer) as page:
            await page.say({"do": "set", "path": "detector.distance_mm", "value": -1, "event": 4711})
            assert (await page.hear("message"))["event"] == 4711

    asyncio.run(play())
