"""Airflow's pages in a real browser, as each persona sees them; pictures in var/screenshots."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from played_day import PROJECT, PlayedDay

pytestmark = [pytest.mark.timeout(600)]

PERSONAS = ("data_engineer", "steward", "finance", "operator")
DAGS = (
    "sync_master_data",
    "release_orders",
    "ingest_shipment_events",
    "invoice_on_pod",
    "ingest_carrier_invoices",
    "settle_freight",
    "post_accruals",
    "rate_shipments",
    "deliver_effects",
    "report_reconciliation",
    "apply_payments",
)
PATIENCE = 40


def chromium() -> tuple[str, str] | None:
    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    driver = shutil.which("chromedriver")
    return (browser, driver) if browser and driver else None


def insist() -> bool:
    asked = os.environ.get("FREIGHTSYNC_TEST_MANDATORY", "").split(",")
    return "all" in asked or "browser" in asked


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    found = chromium()
    if found is None:
        how = "the page tests need chromium and chromedriver (apt-get install chromium chromium-driver)"
        if insist():
            pytest.fail(how)
        pytest.skip(how)
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = found[0]
    for argument in (
        "--headless=new",
        "--no-sandbox",
        "--disable-dev-shm-usage",
        "--disable-gpu",
        "--window-size=1500,950",
        "--no-proxy-server",
    ):
        options.add_argument(argument)
    driver = webdriver.Chrome(options=options, service=Service(found[1]))
    yield driver
    driver.quit()


@pytest.fixture
def day(browser: Any, played_day: PlayedDay) -> PlayedDay:
    """After `browser`, so that without one no stack is started for nothing."""
    assert played_day.code == 0, played_day.output
    return played_day


def picture(browser: Any, name: str) -> None:
    directory = PROJECT / "var" / "screenshots"
    directory.mkdir(parents=True, exist_ok=True)
    browser.save_screenshot(str(directory / f"{name}.png"))


def see(browser: Any, text: str) -> None:
    """Waits until the page shows this text."""
    from selenium.webdriver.common.by import By
    from selenium.webdriver.support.ui import WebDriverWait

    WebDriverWait(browser, PATIENCE).until(
        lambda page: text in page.find_element(By.TAG_NAME, "body").text, f"{browser.current_url} never shows {text!r}"
    )


SESSIONS: dict[tuple[str, str], list[dict[str, Any]]] = {}
"""Cookies by address and user. Everybody logs in once: Airflow lets nobody try more than five times in 40 seconds."""


def login(browser: Any, day: PlayedDay, user: str) -> None:
    from selenium.webdriver.common.by import By
    from selenium.webdriver.support.ui import WebDriverWait

    address = day.settings.airflow_url
    browser.get(f"{address}/auth/login/")
    browser.delete_all_cookies()
    if kept := SESSIONS.get((address, user)):
        for cookie in kept:
            browser.add_cookie(cookie)
        return
    password = json.loads((day.settings.secrets_directory / "users.json").read_text())[user]["password"]
    browser.get(f"{address}/auth/login/")
    WebDriverWait(browser, PATIENCE).until(lambda page: page.find_elements(By.NAME, "username"))
    browser.find_element(By.NAME, "username").send_keys(user)
    browser.find_element(By.NAME, "password").send_keys(password)
    browser.find_element(By.CSS_SELECTOR, "[type=submit]").click()
    WebDriverWait(browser, PATIENCE).until(lambda page: "/auth/login" not in page.current_url)
    SESSIONS[address, user] = browser.get_cookies()


@pytest.mark.parametrize("persona", PERSONAS)
def test_each_persona_gets_in_and_sees_the_dags(browser: Any, day: PlayedDay, persona: str) -> None:
    login(browser, day, persona)
    browser.get(f"{day.settings.airflow_url}/dags?limit=50")
    for dag in DAGS:
        see(browser, dag)
    picture(browser, f"dags-{persona}")


def test_home_shows_healthy_components(browser: Any, day: PlayedDay) -> None:
    login(browser, day, "data_engineer")
    browser.get(f"{day.settings.airflow_url}/")
    see(browser, "Scheduler")
    picture(browser, "home")


def test_the_asset_graph_is_the_process_map(browser: Any, day: PlayedDay) -> None:
    from selenium.webdriver.common.by import By
    from selenium.webdriver.support.ui import WebDriverWait

    login(browser, day, "data_engineer")
    browser.get(f"{day.settings.airflow_url}/assets")
    links = WebDriverWait(browser, PATIENCE).until(
        lambda page: page.find_elements(By.CSS_SELECTOR, "a[href*='/assets/']")
    )
    picture(browser, "assets")
    chosen = next((link for link in links if "outbox" in link.text.lower()), links[0])
    chosen.click()
    see(browser, "deliver_effects")
    picture(browser, "asset-graph")


def test_a_dag_explains_itself(browser: Any, day: PlayedDay) -> None:
    """The docs are the DAG file's own docstring; a reader finds what to do when it fails."""
    from selenium.webdriver.common.by import By
    from selenium.webdriver.support.ui import WebDriverWait

    login(browser, day, "finance")
    browser.get(f"{day.settings.airflow_url}/dags/invoice_on_pod")
    see(browser, "invoice_on_pod")
    picture(browser, "dag")
    docs = WebDriverWait(browser, PATIENCE).until(
        lambda page: page.find_elements(By.CSS_SELECTOR, "button[aria-label='Dag Docs']")
    )
    docs[0].click()
    see(browser, "If it fails")
    picture(browser, "dag-docs")


def test_data_docs_open_from_disk(browser: Any, day: PlayedDay) -> None:
    """What the gate found, as pages that need no network."""
    address = day.summary["urls"]["Data Docs"]
    assert address.startswith("file://")
    browser.get(address)
    see(browser, "carrier.invoice_x12")
    picture(browser, "data-docs")
    missing = browser.execute_script(
        "return [...document.querySelectorAll('[src],link[href]')].map(e => e.src || e.href)"
        ".filter(u => !u.startsWith('file:') && !u.startsWith('data:'))"
    )
    assert missing == [], "a page that fetches from elsewhere shows nothing without a network"


def test_finance_may_look_and_not_start(browser: Any, day: PlayedDay) -> None:
    """The role is enforced by the server, not by a hidden button."""
    from freightsync.proof.control import Airflow, ControlError

    airflow = Airflow(day.settings, user="finance")
    try:
        assert airflow.runs("settle_freight", limit=1)["total_entries"] > 0
        with pytest.raises(ControlError, match="403"):
            airflow.trigger("settle_freight")
    finally:
        airflow.close()


def test_the_way_to_the_pictures_is_not_in_the_repository() -> None:
    ignored = (PROJECT / ".gitignore").read_text().splitlines()
    assert any(Path(line.strip("/")).parts[:1] == ("var",) for line in ignored if line.strip())
