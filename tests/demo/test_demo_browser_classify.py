"""Classify and Build a layer in a browser, on a small run; accessibility; requests."""

from __future__ import annotations

import json
from urllib.parse import urlsplit

import numpy as np
import pytest
from demo_browser import choose, number, open_tab, picture, text, until, until_equal, visible
from PIL import Image

from cnn_jax.analysis import calibration
from cnn_jax.demo import labels
from cnn_jax.demo.components import enlarged
from cnn_jax.demo.shown import GRAD_CAM, SALIENCY, SMOOTH_GRAD
from cnn_jax.modes.predict import predict

pytestmark = pytest.mark.slow
# Elements that Gradio labels against the rules, whatever is in them: meters, and empty pictures.
GRADIOS_OWN = {"exclude": [["meter"], [".empty"]]}


def alt(kind):
    return labels.PICTURES[kind][1]


def errors(browser):
    """The errors in the browser's console since the last call."""
    return [one["message"] for one in browser.get_log("browser") if one["level"] == "SEVERE"]


def upload(browser, path):
    open_tab(browser, labels.CLASSIFY)
    open_tab(browser, labels.UPLOAD)
    if clear := visible(browser, 'button[aria-label="Clear"]'):
        clear[0].click()
    until(lambda: browser.find_elements("css selector", "input[type=file]"), "field")[0].send_keys(
        str(path)
    )


def test_an_upload_gets_the_values_of_predict_and_the_maps_of_explain(
    browser, shown, small_run, tmp_path
):
    path = tmp_path / "photo.png"
    random = np.random.default_rng(0)
    Image.fromarray(random.integers(0, 256, (48, 60, 3), np.uint8)).save(path)
    (expected,) = predict(shown.scorer, [str(path)])
    upload(browser, path)
    until(lambda: "photo.png" in text(browser), "title")
    until_equal(browser, alt("seen"), enlarged(expected.image))
    scores = shown.classifier.scores(expected.image)
    for kind in (GRAD_CAM, SALIENCY):
        until_equal(browser, alt(kind), enlarged(shown.map_of(kind, expected.image, scores)))
    calibrated = calibration.softmax(scores[None], shown.classifier.temperature)[0]
    shown_as = {
        name: f"{value:.0%}" for name, value in zip(expected.classes, expected.values, strict=True)
    }
    until(lambda: f"{calibrated.max():.0%}" in text(browser), "calibrated probability")
    (box,) = visible(browser, "input[type=checkbox]")
    box.click()
    until(lambda: all(value in text(browser) for value in shown_as.values()), str(shown_as))
    box.click()
    (button,) = [one for one in visible(browser, "button") if one.text == labels.SMOOTH]
    button.click()
    drawn = enlarged(shown.map_of(SMOOTH_GRAD, expected.image, scores))
    until_equal(browser, alt(SMOOTH_GRAD), drawn)


def test_bad_files_are_one_line(browser, tmp_path):
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"no picture")
    upload(browser, bad)
    until(lambda: "bad.png: not a picture" in text(browser), "reason")
    large = tmp_path / "large.png"
    Image.new("1", (10_000, 5_000)).save(large)
    upload(browser, large)
    until(lambda: "large.png: more than 25,000,000 pixels" in text(browser), "reason")
    assert str(tmp_path) not in text(browser)
    assert "/tmp" not in text(browser)


def test_a_test_image_a_corruption_and_a_drawing(browser, shown):
    open_tab(browser, labels.CLASSIFY)
    open_tab(browser, labels.TEST_IMAGES)
    until(lambda: visible(browser, "button.thumbnail-item"), "test images")[0].click()
    title = until(lambda: [one for one in visible(browser, "h2") if "test " in one.text], "title")
    name = title[0].text
    image = shown.test_image(int(name.split()[1].rstrip(",")))
    until_equal(browser, alt("seen"), enlarged(image))
    choose(browser, labels.CORRUPTION, "glass blur")
    blurred = shown.classifier.seen(image, "glass_blur", 3)
    assert not np.array_equal(blurred, image)
    until_equal(browser, alt("seen"), enlarged(blurred))
    # The next picture is not corrupted.
    choose(browser, labels.CORRUPTION, labels.NO_CORRUPTION)
    until_equal(browser, alt("seen"), enlarged(image))

    from selenium.webdriver import ActionChains

    open_tab(browser, labels.DRAW)
    until(lambda: visible(browser, "button[aria-label=Brush]"), "brush")[0].click()
    canvas = until(lambda: visible(browser, "canvas"), "canvas")[0]
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", canvas)
    pen = ActionChains(browser).move_to_element(canvas)
    pen.click_and_hold().move_by_offset(60, 0).move_by_offset(0, 20).release().perform()
    (button,) = [one for one in visible(browser, "button") if one.text == labels.CLASSIFY_DRAWING]
    button.click()
    until(lambda: labels.DRAWING in [one.text for one in visible(browser, "h2")], "title")

    def black_on_white():
        drawn = picture(browser, alt("seen"))
        return (drawn == 255).all(-1).mean() > 0.5 and (drawn < 64).all(-1).any()

    until(black_on_white, "drawing")


def test_build_a_layer(browser):
    from selenium.webdriver import Keys

    open_tab(browser, labels.BUILD)
    until(lambda: "(32 - 5 + 2*2)/1 + 1 = 32" in text(browser), "formula")
    choose(browser, labels.PRESET, labels.PRESETS["neuron_200"])
    until(lambda: "200x200x3 = 120,000" in text(browser), "120,000 weights")
    choose(browser, labels.PRESET, labels.PRESETS["alexnet"])
    until(lambda: "55x55x96 = 290,400" in text(browser), "neurons")
    assert "96 x (363 + 1) = 34,944" in text(browser)
    choose(browser, labels.PRESET, labels.PRESETS["misfit"])
    until(lambda: "(10 - 3 + 2*0)/2 + 1 = 4.5" in text(browser), "reason")
    # By the keyboard: one pixel less fits.
    (slider,) = visible(browser, f'input[type=range][aria-label$="{labels.SIZES[0]}"]')
    slider.send_keys(Keys.ARROW_LEFT)
    until(lambda: "Output: 4x4x8" in text(browser), "output")
    assert number(browser, labels.SIZES[0]) == 9


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_tab_is_accessible_and_fits_a_phone(browser, page, theme):
    axe = pytest.importorskip("axe_core_python.selenium").Axe()
    metrics = {"width": 390, "height": 844, "deviceScaleFactor": 1, "mobile": False}
    assert not errors(browser)  # of the tests above
    browser.get(f"{page}?__theme={theme}")
    until(lambda: visible(browser, "button[role=tab]"), "page")
    errors(browser)  # what the page that was left still waited for
    for tab in (labels.CLASSIFY, labels.LAYERS, labels.BUILD, labels.TEST_SET, labels.WATCH):
        open_tab(browser, tab)
        until(lambda: not visible(browser, ".pending, .generating"), "quiet page")
        assert not [
            (one["id"], [node["html"] for node in one["nodes"]])
            for one in axe.run(browser, GRADIOS_OWN)["violations"]
            if one["impact"] in ("serious", "critical")
        ]
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        width = browser.execute_script("return document.documentElement.scrollWidth")
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
        assert width <= 390, tab
    assert not errors(browser)


def test_no_request_left(browser, page):
    """Runs last: the log is that of all the tests above."""
    events = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    urls = [
        urlsplit(event["params"]["request"]["url"])
        for event in events
        if event["method"] == "Network.requestWillBeSent"
    ]
    assert len(urls) > 50
    asked = {url.netloc for url in urls if url.scheme not in ("data", "blob")}
    assert asked == {urlsplit(page).netloc}
