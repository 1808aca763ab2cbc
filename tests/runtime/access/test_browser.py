"""A person signs in, works and signs out in a real browser, before real services."""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
import requests
from playwright.sync_api import Page, expect

from mlflow_runtime.middleware.access.browser import cookies, pages
from mlflow_runtime.middleware.access.roles import Role
from tests.runtime.access.teams import ANNA, NOBODY, Member, Teams
from tests.support import warm
from tests.support.browser import VIEW_MILLISECONDS, Browser, browser, chromium
from tests.support.entra import click
from tests.support.plane import PATIENCE
from tests.support.services import Service, eventually

pytestmark = pytest.mark.skipif(
    chromium() is None, reason="no `chromium` on PATH: install it (Debian: apt-get install chromium)"
)


@pytest.fixture(scope="module")
def replica(teams: Teams) -> Service:
    """A second replica of tracking, which a test kills."""
    return teams.platform.start("tracking", ready=True, **teams.settings, **warm.COLD)


@pytest.fixture(scope="module")
def chrome(teams: Teams, replica: Service, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    folder = tmp_path_factory.mktemp("browser")
    with (
        teams.gateway(folder, replica) as address,
        browser(address, folder, any_certificate=True, third_party_cookies=True) as opened,
    ):
        yield opened


@pytest.fixture
def window(chrome: Browser) -> Browser:
    """A browser in which nobody is signed in."""
    chrome.context.clear_cookies()
    return chrome


def sign_in(page: Page, name: str) -> None:
    page.get_by_role("link", name=name, exact=True).click()


def session(window: Browser) -> dict[str, str]:
    """The cookies of a session that the browser has."""
    kept = {each["name"]: each["value"] for each in window.context.cookies()}
    return {name: value for name, value in kept.items() if re.fullmatch(f"{cookies.SESSION}-[0-9]", name)}


def served(window: Browser, *replicas: Service) -> list[int]:
    """What each replica answers to a page of the platform in this browser."""
    sent = "; ".join(f"{name}={value}" for name, value in session(window).items())
    headers = {"Cookie": sent, "Sec-Fetch-Site": "same-origin"}
    return [each.ask("/version", headers=headers).status for each in replicas]


def test_a_person_signs_in_works_and_signs_out(teams: Teams, replica: Service, window: Browser) -> None:
    replicas = (teams.services["tracking"], replica)
    contributor = Member(teams, ANNA.roles[0].split(".")[0], Role.CONTRIBUTOR)
    experiment = contributor.made("/api/2.0/mlflow/experiments/create", {"name": "seen-by-anna"})["experiment_id"]
    page = window.context.new_page()
    asked = f"{window.url}/#/experiments/{experiment}/runs?workspace=team-a"
    page.goto(asked)
    sign_in(page, ANNA.name)
    page.wait_for_url(asked)
    expect(page.get_by_text("seen-by-anna").first).to_be_visible(timeout=VIEW_MILLISECONDS)
    expect(page.get_by_text(ANNA.name).first).to_be_visible(timeout=VIEW_MILLISECONDS)
    held = {each["name"]: each for each in window.context.cookies()}
    assert {name for name, each in held.items() if not each["httpOnly"]} <= {cookies.FRESH, "mlflow-request-auth"}
    assert all(each["secure"] and each["sameSite"] == "Lax" for each in held.values() if "access" in each["name"])

    # MLflow's own pages know the role, and no workspace but the own one.
    for route, shown in (("/account", ("Contributor", "team-a")), ("/", ("team-a",))):
        other = window.context.new_page()
        other.goto(f"{window.url}/#{route}")
        for text in shown:
            expect(other.get_by_text(text, exact=True).first).to_be_visible(timeout=VIEW_MILLISECONDS)
        expect(other.get_by_text("team-b")).to_have_count(0)
        other.close()

    # The session has ended: the page offers to sign in again beside itself, and stays as it is.
    typed = page.get_by_placeholder("metrics.rmse < 1")
    typed.fill("metrics.not_sent_yet > 1")
    page.evaluate("window.stays = true")
    window.context.clear_cookies()
    with page.expect_popup(timeout=VIEW_MILLISECONDS) as opened:
        page.get_by_role("button", name="Sign in again").click(timeout=60_000)
    sign_in(opened.value, ANNA.name)
    expect(page.get_by_role("alert")).to_have_count(0, timeout=VIEW_MILLISECONDS)
    assert page.evaluate("window.stays")
    expect(typed).to_have_value("metrics.not_sent_yet > 1")

    page.goto(f"{window.url}/access")
    expect(page.get_by_text("Contributor")).to_be_visible()
    assert served(window, *replicas) == [200, 200]
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", name="Signed out")).to_be_visible()
    assert served(window, *replicas) == [401, 401]
    assert not [each for each in window.context.cookies() if each["name"].startswith(cookies.SESSION)]
    page.goto(window.url)
    sign_in(page, NOBODY.name)
    expect(page.get_by_text("has no role in any workspace")).to_be_visible()


def test_a_session_is_renewed_without_a_visible_break(window: Browser) -> None:
    page = window.context.new_page()
    page.goto(window.url)
    sign_in(page, ANNA.name)
    page.wait_for_url(lambda address: urlsplit(address).path == "/")
    before = session(window)
    page.evaluate("window.stays = true")
    # It is about to end.
    window.context.clear_cookies(name=cookies.FRESH)
    page.wait_for_function(f"document.cookie.includes('{cookies.FRESH}=1')", timeout=VIEW_MILLISECONDS)
    assert session(window).keys() == before.keys()
    assert session(window) != before
    assert page.evaluate("window.stays")
    expect(page.locator("#access-sign-in-again")).to_have_count(0)


def test_an_answer_signs_in_the_browser_that_asked_and_once(teams: Teams, window: Browser) -> None:
    asked = f"{window.url}/version"
    # Of somebody who would like the victim to work under their name.
    own = requests.get(f"{window.url}/access/sign-in", allow_redirects=False, timeout=PATIENCE)
    choice = requests.get(own.headers["Location"], verify=str(teams.entra.ca), timeout=PATIENCE)
    sent = click(choice, NOBODY.name, teams.entra.ca).headers["Location"]
    page = window.context.new_page()
    visited: list[str] = []
    page.on("request", lambda request: visited.append(request.url))
    page.goto(sent)
    expect(page.get_by_role("heading", name="Sign-in not finished")).to_be_visible()
    assert session(window) == {}

    page.goto(asked)
    sign_in(page, ANNA.name)
    page.wait_for_url(asked)
    before, (callback,) = session(window), [url for url in visited if "/access/callback?code=" in url and url != sent]
    page.goto(callback)
    expect(page.get_by_role("heading", name="Sign-in not finished")).to_be_visible()
    assert session(window) == before


def test_tabs_sign_in_at_the_same_time(window: Browser) -> None:
    asked = [f"{window.url}/version?tab={tab}" for tab in range(2)]
    tabs = [window.context.new_page() for _ in asked]
    for page, address in zip(tabs, asked, strict=True):
        page.goto(address)
        expect(page.get_by_role("link", name=ANNA.name, exact=True)).to_be_visible()
    for page, address in zip(tabs, asked, strict=True):
        sign_in(page, ANNA.name)
        page.wait_for_url(address)
    assert not [each for each in window.context.cookies() if each["name"].startswith(cookies.FLOW)]


def test_another_site_does_nothing_with_a_session(teams: Teams, window: Browser) -> None:
    page = window.context.new_page()
    page.goto(window.url)
    sign_in(page, ANNA.name)
    page.wait_for_url(f"{window.url}/**")
    # Of the same site, as ports do not count: the browser sends the session along.
    other = window.context.new_page()
    other.goto(f"http://127.0.0.1:{teams.services['tracking'].port}/live")
    statuses: list[int] = []
    other.on("response", lambda answer: statuses.append(answer.status))
    send = f"fetch('{window.url}/api/2.0/mlflow/experiments/create', {{method: 'POST', mode: 'no-cors',"
    other.evaluate(f"{send} credentials: 'include', body: '{{\"name\": \"forged\"}}'}}).then(() => 0)")
    other.evaluate(f"fetch('{window.url}/version', {{mode: 'no-cors', credentials: 'include'}}).then(() => 0)")
    assert statuses == [403, 403]
    member = Member(teams, "team-a", Role.READER)
    assert member.send("/api/2.0/mlflow/experiments/get-by-name?experiment_name=forged").status == 404


def test_a_sign_in_goes_on_when_the_replica_that_began_it_is_gone(
    teams: Teams, replica: Service, window: Browser
) -> None:
    def begun() -> list[int]:
        return [each.log.count(f'"path": "{pages.SIGN_IN}"') for each in (replica, teams.services["tracking"])]

    page = window.context.new_page()
    asked = f"{window.url}/version?on=another"
    for _ in range(40):
        before = begun()
        counted = sum(before)
        page.goto(asked)
        expect(page.get_by_role("link", name=ANNA.name, exact=True)).to_be_visible()
        # It is written once the answer is on its way.
        eventually(lambda: sum(begun()) > counted, "a replica's line for the sign-in")  # noqa: B023 - asked at once
        if begun()[0] > before[0]:
            break
    assert begun()[0] > before[0], "the gateway never asked the second replica"
    replica.program.kill()
    sign_in(page, ANNA.name)
    page.wait_for_url(asked)
    page.reload()
    expect(page.get_by_text("3.17.2")).to_be_visible()
