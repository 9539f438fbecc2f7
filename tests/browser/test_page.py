"""A person looks at the page: it is readable at every width, live, and says when it is cut off."""

import tempfile

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.chrome.service import Service

from harness import stream, wait

WIDTHS = [360, 1280, 2560]


@pytest.fixture
def browser():
    with tempfile.TemporaryDirectory() as profile:
        options = webdriver.ChromeOptions()
        for flag in ("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic",
                     "--no-first-run", "--disable-background-networking",
                     "--disable-component-update", "--disable-sync",
                     f"--user-data-dir={profile}"):
            options.add_argument(flag)
        driver = webdriver.Chrome(options=options, service=Service("/usr/bin/chromedriver"))
        yield driver
        driver.quit()


def resize(browser, width):
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride",
                            {"width": width, "height": 900, "deviceScaleFactor": 1,
                             "mobile": False})


def text(browser):
    return browser.find_element(By.TAG_NAME, "main").text


def test_page_lives(world, browser):
    world.add("lobby", "yard")
    world.wait_settled("lobby", "yard")
    browser.get(world.address + "/")
    assert "lobby" in text(browser) and "Healthy" in text(browser)

    for width in WIDTHS:
        resize(browser, width)
        inner, outer = browser.execute_script(
            "return [document.documentElement.scrollWidth, window.innerWidth]")
        assert inner <= outer, f"the page overflows at {width} px"

    world.write("yard.yaml", "apiVersion: sluice/v1\nkind: Stream\nmetadata: {name: yard}\n"
                             "spec:\n  source:\n    file: {path: clip.mp4, loop: flase}\n")
    wait(lambda: "flase" in text(browser), "the broken line on the open page")
    assert "yard" in text(browser), "a broken file keeps its stream on the page"

    world.write("yard.yaml", stream("yard"))
    wait(lambda: "flase" not in text(browser), "the mended file on the open page")
    world.remove("yard.yaml")
    wait(lambda: "yard" not in text(browser), "the deleted stream leaves the open page")

    severe = [line for line in browser.get_log("browser") if line["level"] == "SEVERE"]
    assert not severe, severe


def test_page_says_when_it_is_cut_off(world, browser):
    world.add("lobby")
    world.wait_settled("lobby")
    browser.get(world.address + "/")
    world.kill()
    wait(lambda: "Cut off" in browser.find_element(By.ID, "age").text,
         "the page greys and tells its age", timeout=30)
    assert "stale" in browser.find_element(By.TAG_NAME, "body").get_attribute("class")
