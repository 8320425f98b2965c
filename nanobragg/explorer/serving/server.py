"""The server of the page: on this machine only, with a token, for pages that it served itself."""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import ipaddress
import os
import secrets
import socket
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from weakref import WeakSet

from nanobragg.errors import ConfigError
from nanobragg.explorer.serving.desk import Desk, Page
from nanobragg.io.optional import needed

PAGE = os.path.join(os.path.dirname(os.path.dirname(__file__)), "page")
_LOCAL = ("127.0.0.1", "localhost", "::1")
_LARGEST_MESSAGE = 1 << 16
_MOST_CONNECTIONS = 128
"""Of everybody together: whoever is logged in on this machine can open them, with or without a token."""
_MOST_PAGES = 32
_IDLE_SECONDS, _BODY_SECONDS = 60, 20
"""That a connection may wait for a request, and for the rest of one."""
_EXPORTS = 2
"""At once; each may hold several copies of the image."""
_PING_SECONDS = 30
_MOST_UNSENT = 64 << 20
"""Bytes on their way to a page that takes none; its connection is ended, and it opens another when it is awake."""
_TYPES = {".html": "text/html", ".js": "text/javascript", ".css": "text/css"}
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; "
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
        if not 0 <= port < 65536:
            raise ConfigError("port", port, "must be within 0 and 65535", "0: a free one")
        self.desk, self.host = desk, host.strip("[]")
        self.token = secrets.token_hex(24)
        self.port = port
        self._ready = threading.Event()
        self._error: OSError | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._end: asyncio.Event | None = None
        self._streams: WeakSet[Any] = WeakSet()
        self.is_local, self._is_every = True, False
        self._thread = threading.Thread(target=self._run, name="nanobragg-server", daemon=True)
        self._thread.start()
        self._ready.wait()
        if self._error is not None:
            raise self._error

    @property
    def url(self) -> str:
        """Address of the page, with its token."""
        shown = socket.gethostname() if self._is_every else self.host
        return f"http://{f'[{shown}]' if ':' in shown else shown}:{self.port}/?token={self.token}"

    def close(self) -> None:
        """End the thread; pages lose their connection."""
        if self._loop is not None and self._end is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join(5)

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        finally:
            self._ready.set()

    async def _serve(self) -> None:
        from tornado import httpserver, netutil

        self._loop, self._end = asyncio.get_running_loop(), asyncio.Event()
        try:
            sockets = netutil.bind_sockets(self.port, self.host or None)
        except (OSError, ValueError) as error:  # a name that is none is no ValueError of the caller's
            reason = getattr(error, "strerror", None) or error
            self._error = OSError(f"cannot listen on {self.host or 'every address'}, port {self.port}: {reason}; "
                                  "try another port (0: a free one) or host")  # fmt: skip
            return
        self._loop.set_default_executor(ThreadPoolExecutor(_EXPORTS, thread_name_prefix="nanobragg-exports"))
        self.port = sockets[0].getsockname()[1]
        addresses = [ipaddress.ip_address(one.getsockname()[0].partition("%")[0]) for one in sockets]
        self.is_local = all(one.is_loopback for one in addresses)
        self._is_every = any(one.is_unspecified for one in addresses)
        streams = self._streams

        class Counted(httpserver.HTTPServer):
            """Takes so many connections and no more."""

            def handle_stream(self, stream: Any, address: Any) -> None:
                streams.add(stream)
                if sum(not one.closed() for one in streams) > _MOST_CONNECTIONS:
                    stream.close()
                else:
                    super().handle_stream(stream, address)

        server = Counted(self._application(), max_body_size=_LARGEST_MESSAGE, max_header_size=_LARGEST_MESSAGE,
                         idle_connection_timeout=_IDLE_SECONDS, body_timeout=_BODY_SECONDS)  # fmt: skip
        server.add_sockets(sockets)
        self._ready.set()
        await self._end.wait()
        server.stop()
        await server.close_all_connections()

    def _application(self) -> Any:
        from tornado import log, web, websocket

        server = self

        class Guarded(web.RequestHandler):
            """Answers those who have the token, and address this machine by a name of its own."""

            def prepare(self) -> None:
                if not server.knows_host(self.request.host_name):
                    raise web.HTTPError(403, reason="this name is none of this machine")
                given = self.get_query_argument("token", "")
                if not hmac.compare_digest(given.encode(), server.token.encode()):
                    raise web.HTTPError(403, reason="the token is missing or wrong, open the address that was printed")

            def log_exception(self, *what: Any) -> None:
                if not isinstance(what[1], web.HTTPError):  # as tornado does it, without the token
                    log.app_log.error("%s %s", self.request.method, self.request.path, exc_info=what)

            def set_default_headers(self) -> None:
                self.set_header("Content-Security-Policy", _POLICY)
                self.set_header("Referrer-Policy", "no-referrer")
                self.set_header("X-Content-Type-Options", "nosniff")
                self.set_header("Cache-Control", "no-store")
                self.clear_header("Server")

            def write_error(self, status_code: int, **_: Any) -> None:
                self.set_header("Content-Type", "text/plain; charset=utf-8")
                self.finish(f"{status_code}: {self._reason}\n")

        class Nothing(Guarded):
            """What is at no other place."""

            def prepare(self) -> None:
                super().prepare()
                raise web.HTTPError(404)

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

        class Wire(Guarded, websocket.WebSocketHandler):
            """Messages to and from a page; tornado compares the origin with the name by which it was addressed."""

            page: Page | None = None
            unsent = 0

            def open(self, *_: str, **__: str) -> None:
                self.set_nodelay(True)
                if len(server.desk.screens) >= _MOST_PAGES:
                    self.close(1013, f"{_MOST_PAGES} pages are open")
                else:
                    self.page = server.desk.opened(self._send)

            def on_message(self, message: str | bytes) -> None:
                if self.page is not None:
                    self.page.take(message)

            def on_close(self) -> None:
                if self.page is not None:
                    server.desk.gone(self.page)

            def _send(self, content: str | bytes) -> None:
                assert server._loop is not None
                with contextlib.suppress(RuntimeError):  # the server has ended
                    server._loop.call_soon_threadsafe(self._write, content)

            def _write(self, content: str | bytes) -> None:
                if self.ws_connection is None:
                    return
                if self.unsent > _MOST_UNSENT:
                    self.close()
                    return
                size = len(content)
                self.unsent += size

                def done(future: Any) -> None:
                    future.exception()  # a page may be gone before it was told
                    self.unsent -= size

                with contextlib.suppress(websocket.WebSocketClosedError):  # it is about to go
                    self.write_message(content, binary=isinstance(content, bytes)).add_done_callback(done)

        return web.Application(
            [(r"/wire", Wire), (r"/export/([a-z]+)", Export), (r"/([\w.]*)", Static)], default_handler_class=Nothing,
            websocket_max_message_size=_LARGEST_MESSAGE, websocket_ping_interval=_PING_SECONDS, log_function=_silent,
        )  # fmt: skip

    def knows_host(self, name: str) -> bool:
        """Whether a page may address the server by a name: any other was made to point here (DNS rebinding)."""
        name = name.lower().strip("[]")
        return name in _LOCAL or name == self.host.lower().strip("[]") or self._is_every


_silent: Callable[[Any], None] = lambda handler: None  # noqa: E731
