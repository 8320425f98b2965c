"""A page of the explorer without a browser: the wire alone."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import nanobragg as nb


def small() -> nb.Experiment:
    """A still of 3000 pixels."""
    return nb.Experiment(
        crystal=nb.Crystal(unit_cell=nb.UnitCell(60, 60, 40, 90, 90, 90), n_cells=(5, 5, 5),
                           structure_factors=nb.StructureFactors.constant(100.0)),
        detector=nb.Detector(n_fast=60, n_slow=50, pixel_size_mm=1.0), sampling=nb.Sampling(oversample=1),
    )  # fmt: skip


def _no_constant(name: str) -> Any:
    raise AssertionError(f"{name} is no JSON")


class Wire:
    """One page; use as an asynchronous context manager."""

    def __init__(self, explorer: nb.Explorer, **headers: str) -> None:
        self._explorer, self._headers = explorer, headers
        self.heard: list[dict[str, Any]] = []

    async def __aenter__(self) -> Wire:
        from tornado.httpclient import HTTPRequest
        from tornado.websocket import websocket_connect

        url = self._explorer.url.replace("http://", "ws://").replace("/?", "/wire?")
        self._wire = await websocket_connect(HTTPRequest(url, headers=self._headers, request_timeout=60))
        return self

    async def __aexit__(self, *_: object) -> None:
        self._wire.close()

    async def say(self, message: Any) -> None:
        """Send a message: text and bytes as they are, anything else in JSON."""
        plain = isinstance(message, str | bytes)
        await self._wire.write_message(message if plain else json.dumps(message), binary=isinstance(message, bytes))

    async def hear(self, kind: str, within: str = "") -> dict[str, Any]:
        """The next message of a kind, with a text in it."""
        while True:
            text = await asyncio.wait_for(self._wire.read_message(), 60)
            assert text is not None, "the connection has ended"
            if isinstance(text, bytes):
                size = int.from_bytes(text[:4], "little")
                text = text[4 : 4 + size].decode()
                await self.say({"do": "taken"})
            message = json.loads(text, parse_constant=_no_constant)
            self.heard.append(message)
            if message["kind"] == kind and within in json.dumps(message):
                return message

    async def until_exact(self) -> dict[str, Any]:
        """An exact picture."""
        await self.say({"do": "view", "view": {}})  # once more, where it was sent before a message that was waited for
        while not (found := await self.hear("tiles"))["exact"]:
            pass
        return found
