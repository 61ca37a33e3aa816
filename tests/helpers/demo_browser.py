"""A headless Chromium on the page: opens tabs, reads what they show."""

from __future__ import annotations

import io
import shutil
import time
import urllib.request

import numpy as np
import pytest
from PIL import Image

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
WAIT = 60  # seconds until the page must have answered


def start_browser(width: int = 1280, height: int = 1600):
    """A browser; the test is skipped if there is none."""
    selenium = pytest.importorskip("selenium.webdriver")
    if CHROMIUM is None or DRIVER is None:
        pytest.skip("needs chromium and chromedriver")
    options = selenium.ChromeOptions()
    options.binary_location = CHROMIUM
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"):
        options.add_argument(argument)
    options.add_argument(f"--window-size={width},{height}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    return selenium.Chrome(options=options, service=selenium.ChromeService(DRIVER))


def until(condition, what: str):
    """The first true value of `condition()`; the page may be redrawn while it is read."""
    from selenium.common.exceptions import WebDriverException

    deadline, problem = time.monotonic() + WAIT, ""
    while time.monotonic() < deadline:
        try:
            if found := condition():
                return found
        except WebDriverException as error:
            problem = str(error)
        time.sleep(0.1)
    raise AssertionError(f"no {what} after {WAIT} s {problem}")


def visible(browser, selector: str) -> list:
    """The visible elements of a CSS selector."""
    return [one for one in browser.find_elements("css selector", selector) if one.is_displayed()]


def open_tab(browser, name: str) -> None:
    def tab():
        return [one for one in visible(browser, "button[role=tab]") if one.text.strip() == name]

    until(tab, f"tab {name}")[0].click()
    until(lambda: tab()[0].get_attribute("aria-selected") == "true", f"open tab {name}")


def picture(browser, alt: str) -> np.ndarray | None:
    """The pixels of the visible picture with this alternative text; None without one."""
    found = visible(browser, f'img[alt="{alt}"]')
    source = found[0].get_attribute("src") if found else None
    if not source:
        return None
    with urllib.request.urlopen(source) as answer:
        return np.asarray(Image.open(io.BytesIO(answer.read())).convert("RGB"))


def until_equal(browser, alt: str, expected: np.ndarray) -> None:
    """Waits until a picture has these pixels, u8[h,w] or u8[h,w,3].

    They may differ by 1: the page and the test are processes with different numbers of devices and
    threads, so that sums are rounded differently.
    """
    if expected.ndim == 2:
        expected = np.stack([expected] * 3, -1)
    seen: list = [None]

    def equal():
        seen[0] = picture(browser, alt)
        if seen[0] is None or seen[0].shape != expected.shape:
            return False
        return np.abs(seen[0].astype(int) - expected).max() <= 1

    try:
        until(equal, f"picture {alt!r}")
    except AssertionError as error:
        shape = None if seen[0] is None else seen[0].shape
        raise AssertionError(f"{error}: {shape}, not {expected.shape}") from error


def click_on_picture(browser, alt: str, x: int, y: int) -> None:
    """Clicks on a pixel of a picture, whatever its size on the screen."""
    from selenium.webdriver import ActionChains

    (image,) = visible(browser, f'img[alt="{alt}"]')
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", image)
    width, height = (int(image.get_attribute(side)) for side in ("naturalWidth", "naturalHeight"))
    # The picture keeps its ratio within its element.
    scale = min(image.size["width"] / width, image.size["height"] / height)
    across, down = (x + 0.5 - width / 2) * scale, (y + 0.5 - height / 2) * scale
    ActionChains(browser).move_to_element_with_offset(image, across, down).click().perform()


def choose(browser, label: str, option: str) -> None:
    """Chooses from a list by the keyboard."""
    from selenium.webdriver import Keys

    box = until(lambda: visible(browser, f'input[aria-label="{label}"]'), f"list {label}")[0]
    box.send_keys(Keys.CONTROL, "a")
    box.send_keys(option)
    until(lambda: visible(browser, "li[role=option], ul[role=listbox] li"), f"options of {label}")
    box.send_keys(Keys.ENTER)


def number(browser, label: str) -> int:
    """The value of a slider."""
    (box,) = visible(browser, f'input[type=number][aria-label$="{label}"]')
    return int(box.get_attribute("value"))


def text(browser) -> str:
    """All text that is visible."""
    return browser.find_element("tag name", "body").text
