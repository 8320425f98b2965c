"""The server answers those who have the token, from this machine, and pages that it served itself."""

from __future__ import annotations

import asyncio
import json
import random
import socket
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import nanobragg as nb
from nanobragg.cli.words.explore import _greeting
from nanobragg.errors import BackendUnavailableError


@pytest.fixture(scope="module")
def explorer() -> Iterator[nb.Explorer]:
    experiment = nb.Experiment(
        crystal=nb.Crystal(unit_cell=nb.UnitCell(60, 60, 40, 90, 90, 90), n_cells=(5, 5, 5),
                           structure_factors=nb.StructureFactors.constant(100.0)),
        detector=nb.Detector(n_fast=60, n_slow=50, pixel_size_mm=1.0), sampling=nb.Sampling(oversample=1),
    )  # fmt: skip
    with nb.explore(experiment) as one:
        yield one


def answer(url: str, **headers: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=30) as found:
            return found.status, found.read().decode(errors="replace")
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def token(explorer: nb.Explorer) -> str:
    return explorer.url.rpartition("=")[2]


@pytest.mark.parametrize("path", ["/", "/main.js", "/style.css", "/export/toml", "/wire"])
def test_nothing_is_answered_without_the_token(explorer: nb.Explorer, path: str) -> None:
    base = f"http://127.0.0.1:{explorer.port}{path}"
    for url in (base, f"{base}?token=", f"{base}?token={'0' * 48}"):
        status, text = answer(url)
        assert status == 403 and "token" in text
    assert answer(f"{base}?token={token(explorer)}")[0] == (400 if path == "/wire" else 200)  # no upgrade was asked for


def test_another_name_for_this_machine_is_refused(explorer: nb.Explorer) -> None:
    """A page of another site may have its name point to 127.0.0.1; it is told by the name."""
    status, text = answer(explorer.url, Host="evil.example")
    assert status == 403 and "name" in text
    assert answer(explorer.url, Host=f"localhost:{explorer.port}")[0] == 200


def test_files_outside_the_page_are_not_served(explorer: nb.Explorer) -> None:
    base = f"http://127.0.0.1:{explorer.port}"
    for path in ("/../explore.py", "/%2e%2e/explore.py", "/index.htm", "/.", "/.."):
        assert answer(f"{base}{path}?token={token(explorer)}")[0] == 404, path


def test_headers(explorer: nb.Explorer) -> None:
    with urllib.request.urlopen(explorer.url, timeout=30) as found:
        policy = found.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy and "script-src 'self'" in policy
        assert found.headers["Referrer-Policy"] == "no-referrer" and found.headers["Cache-Control"] == "no-store"
        page = found.read().decode()
    assert "http" not in page.replace("http-equiv", "")


def test_the_server_listens_on_this_machine_alone(explorer: nb.Explorer) -> None:
    others = {info[4][0] for info in socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)} - {"127.0.0.1"}
    for address in others:
        if address.startswith("127."):
            continue
        with socket.socket() as one:
            one.settimeout(2)
            assert one.connect_ex((address, explorer.port)) != 0
    listening = explorer._server.host
    assert listening == "127.0.0.1"


def talk(
    explorer: nb.Explorer, *messages: Any, origin: str | None = None, until: str = "state"
) -> list[dict[str, Any]]:
    """Send messages over the wire; what is answered up to a message of a kind after the last of them."""
    from tornado.httpclient import HTTPRequest
    from tornado.websocket import websocket_connect

    async def speak() -> list[dict[str, Any]]:
        url = explorer.url.replace("http://", "ws://").replace("/?", "/wire?")
        headers = {} if origin is None else {"Origin": origin}
        wire = await websocket_connect(HTTPRequest(url, headers=headers, request_timeout=60))
        found: list[dict[str, Any]] = []
        await wire.write_message(json.dumps({"do": "hover", "column": -5, "row": -5}))
        for message in messages:
            await wire.write_message(message if isinstance(message, str) else json.dumps(message))
        # is refused, after all others were answered; and once more, after the jobs that they began
        await wire.write_message(json.dumps({"do": "nothing"}))
        refused = False
        while True:
            text = await asyncio.wait_for(wire.read_message(), 60)
            assert text is not None
            if isinstance(text, str):
                found.append(json.loads(text))
                if "is nothing that can be done" in found[-1].get("text", ""):
                    if refused:
                        wire.close()
                        return found
                    refused = True
                    await asyncio.to_thread(explorer._desk.bench.rest, 60)
                    await wire.write_message(json.dumps({"do": "nothing"}))

    return asyncio.run(speak())


def test_the_origin_of_the_wire_is_checked(explorer: nb.Explorer) -> None:
    from tornado.httpclient import HTTPClientError

    talk(explorer, origin=f"http://127.0.0.1:{explorer.port}")
    for origin in ("http://evil.example", "http://127.0.0.1:1", "null"):
        with pytest.raises(HTTPClientError, match="403"):
            talk(explorer, origin=origin)


@pytest.mark.parametrize(
    ("message", "said"),
    [
        ("no json", "not understood"),
        ("[1, 2]", "must be an object"),
        ({"do": "set", "path": "detector.distance_mm", "value": "-3"}, "detector.distance_mm"),
        ({"do": "set", "path": "detector.distanze_mm", "value": "3"}, "did you mean distance_mm"),
        ({"do": "set", "path": "detector.distance_mm", "value": "near"}, "must be a number"),
        ({"do": "set", "path": "detector.distance_mm", "value": {"a": 1}}, "must be a number"),
        ({"do": "set", "path": "crystal.misset_deg", "value": [1, 2]}, "3 elements"),
        ({"do": "set", "path": "crystal.n_cells[7]", "value": 3}, "index below 3"),
        ({"do": "set", "path": "readout.gain", "value": 3}, "no such field"),
        ({"do": "set", "path": "readout.bits", "value": 17}, "16, 20 or 32"),
        ({"do": "set"}, "not understood"),
        ({"do": "view", "view": {"fast": [3, 1]}}, "ascending"),
        ({"do": "view", "view": {"speed": 1}}, "not understood"),
        ({"do": "view", "view": 3}, "not understood"),
        ({"do": "view", "view": {"layer": "inside"}}, "view.layer"),
        ({"do": "view", "view": {"low": "dark"}}, "view.low"),
        ("[" * 20000, "not understood"),
        ({"do": "turn", "degrees": [1, 2]}, "not understood"),
        ({"do": "turn", "degrees": [1, "x", 0]}, "not understood"),
        ({"do": "switch", "name": "light", "on": True}, "background, spread, noise"),
        ({"do": "preset", "name": "crystal/kryptonite"}, "is no preset"),
        ({"do": "measure", "file": "/no/such/image.cbf"}, "/no/such/image.cbf"),
        ({"do": "measure", "file": ""}, "name of a file"),
        ({"do": "fit"}, "read one first"),
        ({"do": "refine", "paths": ["crystal.misset_deg"]}, "read one first"),
        ({"do": "add", "path": "detector.colour"}, "no part"),
        ({"do": "trace", "pixel": [0, 99, 99]}, "pixel"),
        ({"do": "profile", "line": [[0, 0]]}, "not understood"),
        ({"do": "__class__"}, "nothing that can be done"),
    ],
)  # fmt: skip
def test_bad_messages_are_told_and_change_nothing(explorer: nb.Explorer, message: Any, said: str) -> None:
    before = explorer.experiment
    found = talk(explorer, message)
    texts = [one["text"] for one in found if one["kind"] == "message"]
    assert any(said in text for text in texts), texts
    assert explorer.experiment is before
    assert np.array_equal(explorer.image(60), nb.simulate(before))


def test_a_value_that_the_model_refuses_is_told_and_can_be_undone(explorer: nb.Explorer) -> None:
    """Each field takes it, both together cannot be simulated: the page says so, and undo helps."""
    before = explorer.experiment
    talk(explorer, {"do": "set", "path": "goniometer.n_steps", "value": 5})
    with pytest.raises(nb.ConfigError, match=r"goniometer\.osc_deg"):
        explorer.image(60)
    talk(explorer, {"do": "undo"})
    assert explorer.experiment is before
    assert np.array_equal(explorer.image(60), nb.simulate(before))


def test_the_experiment_can_be_set_from_python(explorer: nb.Explorer) -> None:
    before = explorer.experiment
    explorer.experiment = before.replace("detector.distance_mm", 70.0)
    assert np.array_equal(explorer.image(60), nb.simulate(before.replace("detector.distance_mm", 70.0)))
    with pytest.raises(nb.ConfigError, match="must be an Experiment"):
        explorer.experiment = "another"  # type: ignore[assignment]
    explorer.experiment = before


def test_a_port_that_is_taken_is_an_error(explorer: nb.Explorer) -> None:
    with pytest.raises(OSError, match=rf"127\.0\.0\.1, port {explorer.port}: .*; try another port"):
        nb.explore(explorer.experiment, port=explorer.port)
    with pytest.raises(nb.ConfigError):
        nb.explore(3)  # type: ignore[arg-type]


def test_without_tornado_the_remedy_is_told(explorer: nb.Explorer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "tornado.web", None)
    with pytest.raises(BackendUnavailableError, match=r"pip install 'nanobragg\[explore\]'"):
        nb.explore(explorer.experiment)


def test_the_greeting_has_the_line_for_ssh() -> None:
    local = _greeting("http://127.0.0.1:8123/?token=t", 8123, "127.0.0.1", True)
    assert local[0] == "open http://127.0.0.1:8123/?token=t"
    assert "ssh -N -L 8123:127.0.0.1:8123 " in local[1] and local[1].endswith(f"@{socket.gethostname()}")
    assert "8123:[::1]:8123" in _greeting("http://[::1]:8123/?token=t", 8123, "::1", True)[1]
    assert "warning: open to the network" in _greeting("u", 8123, "0.0.0.0", False)[1]


def test_random_messages_leave_the_server_at_work(explorer: nb.Explorer) -> None:
    chance = random.Random(5)
    names = [name.removeprefix("_do_") for name in dir(explorer._desk) if name.startswith("_do_")]
    keys = (
        "path",
        "value",
        "view",
        "degrees",
        "column",
        "row",
        "pixel",
        "line",
        "name",
        "on",
        "file",
        "factor",
        "paths",
        "event",
    )
    values: list[Any] = [None, True, -1, 1e300, float("nan"), 10**400, "", "crystal", "crystal.misset_deg", "detector[0]",
                         "readout", [], [None], [1, 2, 3], [[0, 0], [1, 1]], {}, {"fast": [0, 1e9]}]  # fmt: skip
    sent = [
        {"do": chance.choice(names), **{chance.choice(keys): chance.choice(values) for _ in range(4)}}
        for _ in range(300)
    ]
    before = explorer.experiment
    talk(explorer, *sent)
    explorer.experiment = before
    for name in ("noise", "spread"):
        talk(explorer, {"do": "switch", "name": name, "on": False})
    talk(explorer, {"do": "switch", "name": "background", "on": True})
    assert np.array_equal(explorer.image(60), nb.simulate(before))
