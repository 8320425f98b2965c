"""The server of the page: on this machine only, with a token, for pages that it served itself."""

from __future__ import annotations

import asyncio
import hmac
import os
import secrets
import socket
import threading
from collections.abc import Callable
from typing import Any

from nanobragg.explorer.serving.desk import Desk, Page
from nanobragg.io.optional import needed

PAGE = os.path.join(os.path.dirname(os.path.dirname(__file__)), "page")
_LOCAL = ("127.0.0.1", "localhost", "::1", "[::1]")
_EVERY = ("", "0.0.0.0", "::")
"""Listen on every address of the machine."""
_LARGEST_MESSAGE = 1 << 16
_PING_SECONDS = 30
_TYPES = {".html": "text/html", ".js": "text/javascript", ".css": "text/css"}
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'"
)
"""Nothing from elsewhere. A notebook of any address may frame the page: who can do so has the token."""


class Server:
    """The server, on a thread with a loop of its own.

    Raises
    ------
    OSError
        Where the port is taken, or the address is none of this machine.
    BackendUnavailableError
        Without tornado.
    """

    def __init__(self, desk: Desk, host: str = "127.0.0.1", port: int = 0) -> None:
        needed("tornado.web", "explore")
        self.desk, self.host = desk, host
        self.token = secrets.token_hex(24)
        self.port = port
        self._ready = threading.Event()
        self._error: OSError | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._end: asyncio.Event | None = None
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), name="nanobragg-server", daemon=True)
        self._thread.start()
        self._ready.wait()
        if self._error is not None:
            raise self._error

    @property
    def url(self) -> str:
        """Address of the page, with its token."""
        shown = socket.gethostname() if self.host in _EVERY else self.host
        return f"http://{f'[{shown}]' if ':' in shown else shown}:{self.port}/?token={self.token}"

    def close(self) -> None:
        """End the thread; pages lose their connection."""
        if self._loop is not None and self._end is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join(5)

    async def _serve(self) -> None:
        from tornado import httpserver, netutil

        self._loop, self._end = asyncio.get_running_loop(), asyncio.Event()
        try:
            sockets = netutil.bind_sockets(self.port, self.host or None)
        except (OSError, ValueError) as error:  # a name that is none is no ValueError of the caller's
            self._error = error if isinstance(error, OSError) else OSError(f"{self.host}: {error}")
            self._ready.set()
            return
        self.port = sockets[0].getsockname()[1]
        server = httpserver.HTTPServer(self._application(), max_body_size=_LARGEST_MESSAGE)
        server.add_sockets(sockets)
        self._ready.set()
        await self._end.wait()
        server.stop()
        await server.close_all_connections()

    def _application(self) -> Any:
        from tornado import web, websocket

        server = self

        class Guarded(web.RequestHandler):
            """Answers those who have the token, and address this machine by a name of its own."""

            def prepare(self) -> None:
                if not server.knows_host(self.request.host_name):
                    raise web.HTTPError(403, reason="this name is none of this machine")
                given = self.get_query_argument("token", "")
                if not hmac.compare_digest(given.encode(), server.token.encode()):
                    raise web.HTTPError(403, reason="the token is missing or wrong, open the address that was printed")

            def set_default_headers(self) -> None:
                self.set_header("Content-Security-Policy", _POLICY)
                self.set_header("Referrer-Policy", "no-referrer")
                self.set_header("X-Content-Type-Options", "nosniff")
                self.set_header("Cache-Control", "no-store")
                self.clear_header("Server")

            def write_error(self, status_code: int, **_: Any) -> None:
                self.set_header("Content-Type", "text/plain; charset=utf-8")
                self.finish(f"{status_code}: {self._reason}\n")

        class Static(Guarded):
            """Files of the page."""

            def get(self, name: str) -> None:
                path = os.path.join(PAGE, name or "index.html")
                kind = _TYPES.get(os.path.splitext(path)[1])
                if kind is None or not os.path.isfile(path):
                    raise web.HTTPError(404)
                self.set_header("Content-Type", f"{kind}; charset=utf-8")
                with open(path, encoding="utf-8") as file:
                    self.finish(file.read().replace("{token}", server.token))

        class Export(Guarded):
            """What is taken home."""

            async def get(self, name: str) -> None:
                try:
                    page, colors = (self.get_query_argument(key, "") for key in ("page", "colors"))
                    file_name, kind, content = await asyncio.to_thread(server.desk.export, name, page, colors)
                except Exception as error:
                    self.set_status(400)
                    self.set_header("Content-Type", "text/plain; charset=utf-8")
                    self.finish(str(error))
                    return
                self.set_header("Content-Type", kind)
                self.set_header("Content-Disposition", f'attachment; filename="{file_name}"')
                self.finish(content)

        class Wire(websocket.WebSocketHandler):
            """Messages to and from a page; tornado compares the origin with the name by which it was addressed."""

            page: Page | None = None

            def prepare(self) -> None:
                Guarded.prepare(self)  # type: ignore[arg-type]

            def open(self, *_: str, **__: str) -> None:
                self.set_nodelay(True)
                self.page = server.desk.opened(self._send)

            def on_message(self, message: str | bytes) -> None:
                if self.page is not None:
                    self.page.take(message)

            def on_close(self) -> None:
                if self.page is not None:
                    server.desk.gone(self.page)

            def _send(self, content: str | bytes) -> None:
                assert server._loop is not None
                server._loop.call_soon_threadsafe(self._write, content)

            def _write(self, content: str | bytes) -> None:
                if self.ws_connection is not None:
                    self.write_message(content, binary=isinstance(content, bytes)).add_done_callback(_forget)

        return web.Application(
            [(r"/wire", Wire), (r"/export/([a-z]+)", Export), (r"/([\w.]*)", Static)],
            websocket_max_message_size=_LARGEST_MESSAGE, websocket_ping_interval=_PING_SECONDS, log_function=_silent,
        )  # fmt: skip

    def knows_host(self, name: str) -> bool:
        """Whether a page may address the server by a name: any other was made to point here (DNS rebinding)."""
        return name in _LOCAL or name == self.host or self.host in _EVERY


def _forget(done: Any) -> None:
    """A page may be gone before it was told."""
    done.exception()


_silent: Callable[[Any], None] = lambda handler: None  # noqa: E731
