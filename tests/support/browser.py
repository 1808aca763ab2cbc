"""A real browser that knows no host but this machine, and remembers everything that went wrong on a page."""

from __future__ import annotations

import re
import shutil
import socketserver
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from playwright.sync_api import (
    BrowserContext,
    ConsoleMessage,
    Locator,
    Page,
    Request,
    Response,
    expect,
    sync_playwright,
)

VIEW_MILLISECONDS = 60_000
TURN_MILLISECONDS, QUIET_TURNS, SETTLE_TURNS = 100, 5, 200
WORKER_SCRIPT = ".worker.js"
WIDTH, HEIGHT = 1920, 1600  # room for a whole run
HINTS = ("Got it", "Try it now")  # buttons that close what lies over the page in a new profile
FLAGS = (
    "--no-sandbox",  # with a sandbox Chromium does not start as root
    "--disable-gpu",
    "--disable-quic",  # QUIC would go past the proxy
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)

# Answers that MLflow's interface asks for knowing that they may be missing.
EXPECTED_ANSWERS = {
    ("GET", "/ajax-api/2.0/mlflow/users/current", 404): (
        "every page asks who has logged in by MLflow's own login; a stock server without it answers this too"
    ),
}
# What the console says without anything missing from the page.
EXPECTED_COMPLAINTS = {
    "Failed to load resource": "repeats an answer, which is judged as such",
    "ResizeObserver loop": "Chromium's notice that a layout took more than one frame",
}
# Chromium's own conversations, which the flags leave on. Asked for by a page, they count as failed all the same.
EXPECTED_TUNNELS = {
    ".google.com": "accounts of the browser",
    ".googleapis.com": "its update check and form filling",
}


def chromium() -> str | None:
    """Path of the machine's Chromium, or None where there is none."""
    return shutil.which("chromium")


@dataclass(frozen=True)
class View:
    """One page of the interface.

    `route` is what stands behind `/#`. `clicks` are Playwright selectors, clicked one after the other. After that
    every text of `shows`, a table row with the two texts of each of `rows`, and something that the selector `draws`
    finds, must come into view.
    """

    name: str
    route: str
    shows: tuple[str, ...]
    rows: tuple[tuple[str, str], ...] = ()
    clicks: tuple[str, ...] = ()
    draws: str | None = None


@dataclass
class Browser:
    """Opens pages of the server at `url`; screenshots go to `pictures`."""

    url: str
    pictures: Path
    context: BrowserContext
    refused: list[str]

    def open(self, view: View) -> list[str]:
        """Open the view in a tab of its own, wait for what it shows and take its picture; returns what went wrong."""
        with self.tab() as (page, traffic):
            try:
                self._visit(page, view)
                traffic.settle()
            finally:
                page.screenshot(path=self.pictures / f"{view.name}.png")
            return traffic.problems()

    @contextmanager
    def tab(self) -> Iterator[tuple[Page, Traffic]]:
        """An empty tab, and its traffic from now on."""
        page = self.context.new_page()
        for hint in HINTS:
            page.add_locator_handler(page.get_by_role("button", name=hint, exact=True), lambda button: button.click())
        try:
            yield page, Traffic(page, self.refused)
        finally:
            page.close()

    def _visit(self, page: Page, view: View) -> None:
        page.goto(f"{self.url}/#{view.route}")
        for selector in view.clicks:
            page.locator(selector).filter(visible=True).first.click(timeout=VIEW_MILLISECONDS)
        wanted = [page.get_by_text(text) for text in view.shows]
        wanted += [_row(page, *texts) for texts in view.rows]
        if view.draws is not None:
            wanted.append(page.locator(view.draws))
        for locator in wanted:
            expect(locator.filter(visible=True).first).to_be_in_viewport(timeout=VIEW_MILLISECONDS)


def _row(page: Page, *texts: str) -> Locator:
    row = page.get_by_role("row")
    for text in texts:
        row = row.filter(has=page.get_by_text(text, exact=True))
    return row


class Traffic:
    """The requests of one tab, and what goes wrong: bad answers, requests without one, script errors, calls elsewhere.

    The script of a shared worker is left to the worker: its tab never learns that it has come.
    """

    def __init__(self, page: Page, refused: list[str]) -> None:
        self._page = page
        self._open: set[Request] = set()
        self._graphql: list[Response] = []
        self._found: list[str] = []
        self._refused = refused
        self._refused_before = len(refused)
        page.on("request", self._start)
        page.on("response", self._answer)
        page.on("requestfinished", self._end)
        page.on("requestfailed", self._failure)
        page.on("pageerror", lambda error: self._found.append(f"script error: {error}"))
        page.on("console", self._complaint)

    def settle(self) -> None:
        """Wait until no request has been under way for half a second."""
        quiet = 0
        for _ in range(SETTLE_TURNS):
            quiet = 0 if self._open else quiet + 1
            if quiet == QUIET_TURNS:
                return
            self._page.wait_for_timeout(TURN_MILLISECONDS)
        raise AssertionError(f"still under way: {[request.url for request in self._open]}")

    def problems(self) -> list[str]:
        """One line for each, in the order in which they came; GraphQL errors and calls to other hosts last."""
        graphql = [line for response in self._graphql for line in _graphql_errors(response)]
        elsewhere = [host for host in self._refused[self._refused_before :] if not _of_the_browser(host)]
        return self._found + graphql + [f"call to another host: {host}" for host in elsewhere]

    def _start(self, request: Request) -> None:
        if not request.url.endswith(WORKER_SCRIPT):
            self._open.add(request)

    def _end(self, request: Request) -> None:
        self._open.discard(request)

    def _answer(self, response: Response) -> None:
        request = response.request
        path = "/" + request.url.split("/", 3)[-1].partition("?")[0]
        if response.status >= 400 and (request.method, path, response.status) not in EXPECTED_ANSWERS:
            self._found.append(f"{response.status} {request.method} {request.url}")
        elif path == "/graphql":
            self._graphql.append(response)

    def _failure(self, request: Request) -> None:
        self._end(request)
        self._found.append(f"no answer ({request.failure}): {request.method} {request.url}")

    def _complaint(self, message: ConsoleMessage) -> None:
        if message.type == "error" and not any(part in message.text for part in EXPECTED_COMPLAINTS):
            self._found.append(f"console: {message.text}")


def _graphql_errors(response: Response) -> list[str]:
    """Errors come with status 200: those of the query beside the data, those of MLflow inside each of its fields."""
    body = response.json()
    fields = (body.get("data") or {}).values()
    errors = [*(body.get("errors") or []), *(field["apiError"] for field in fields if field and field.get("apiError"))]
    query: Any = response.request.post_data_json
    return [f"graphql {query['operationName']}: {error}" for error in errors]


def _of_the_browser(host: str) -> bool:
    return host.endswith(tuple(EXPECTED_TUNNELS))


@contextmanager
def browser(
    url: str, pictures: Path, *, any_certificate: bool = False, third_party_cookies: bool = False
) -> Iterator[Browser]:
    """A headless Chromium with a new profile. `any_certificate` has it trust the emulators' own.

    With `third_party_cookies` a page in a frame gets its cookies, which Chromium blocks by default and some companies
    allow.

    Everything but loopback goes to a proxy that refuses it and notes the host. Unlike Playwright's events, the proxy
    sees the requests of shared workers too.
    """
    pictures.mkdir(parents=True, exist_ok=True)
    with (
        _refusing_proxy() as (proxy, refused),
        tempfile.TemporaryDirectory(prefix="chromium-", ignore_cleanup_errors=True) as profile,
        sync_playwright() as playwright,
    ):
        if third_party_cookies:
            preferences = Path(profile, "Default", "Preferences")
            preferences.parent.mkdir()
            preferences.write_text('{"profile": {"cookie_controls_mode": 0}}')
        context = playwright.chromium.launch_persistent_context(
            profile,
            executable_path=chromium(),
            headless=True,
            args=[*FLAGS, f"--proxy-server={proxy}"],
            ignore_https_errors=any_certificate,
            viewport={"width": WIDTH, "height": HEIGHT},
        )
        try:
            yield Browser(url, pictures, context, refused)
        finally:
            context.close()


@contextmanager
def _refusing_proxy() -> Iterator[tuple[str, list[str]]]:
    refused: list[str] = []

    class Refusal(socketserver.StreamRequestHandler):
        timeout = 10

        def handle(self) -> None:
            line = self.rfile.readline(8192).decode("latin-1")
            target = re.match(r"[A-Z]+ (?:[a-z]+://)?(?P<host>[^:/ ]+)", line)
            refused.append(target["host"] if target else line.strip())
            self.wfile.write(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Refusal) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}", refused
        finally:
            server.shutdown()
            thread.join()
