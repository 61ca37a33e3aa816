"""Other installed fonts draw what DejaVu Sans lacks."""

from __future__ import annotations

import dataclasses
import warnings

import pytest

from cnn_jax.report import figure_style, fonts


def saved(path, text):
    """Saves a figure with a text; returns what was built and what matplotlib warned of."""
    built = []

    def build():
        figure = figure_style.figure(1.0)
        built.append(figure.suptitle(text))
        return figure

    with warnings.catch_warnings(record=True) as caught, pytest.MonkeyPatch.context() as patch:
        warnings.simplefilter("always")
        patch.setattr(warnings, "filterwarnings", lambda *_: None)  # `save` hides them
        assert figure_style.save(path, build)
    return built, [str(warning.message) for warning in caught if "Glyph" in str(warning.message)]


def test_another_font_draws_what_the_first_one_lacks(second_font, tmp_path, caplog):
    assert fonts.can_draw(f"caf\u00e9 {second_font}")
    chosen = fonts.fallbacks(f"caf\u00e9 {second_font}")
    assert len(chosen) == 1 and chosen != [fonts.FONT]
    built, warned = saved(tmp_path / "a.png", f"cat {second_font}")
    assert built[-1].get_fontfamily() == [fonts.FONT, *chosen]
    assert not warned and not caplog.records


def test_one_font_is_enough_for_most_texts(tmp_path):
    assert fonts.fallbacks("cat") == fonts.fallbacks("caf\u00e9 \u2026") == []
    assert fonts.can_draw("cat") and fonts.can_draw("caf\u00e9")
    built, warned = saved(tmp_path / "a.png", "caf\u00e9")
    assert len(built) == 1 and not warned


def test_what_no_font_has_can_not_be_drawn(no_font, second_font, tmp_path):
    assert not fonts.can_draw(no_font) and not fonts.can_draw(f"cat{no_font}{second_font}")
    assert fonts.fallbacks(no_font) == []
    _, warned = saved(tmp_path / "a.png", no_font)
    assert warned  # so that the test above would see it
    for control in ("a\nb", "\x00", "\ud800"):
        assert not fonts.can_draw(control)


def test_a_font_that_cannot_be_read_is_skipped(no_font, second_font, tmp_path, monkeypatch):
    """Such as a font of coloured bitmaps."""
    from matplotlib.font_manager import fontManager

    bad = tmp_path / "bad.ttf"
    bad.write_bytes(b"not a font")
    entry = next(entry for entry in fontManager.ttflist if entry.name == fonts.FONT)
    broken = dataclasses.replace(entry, fname=str(bad), name="A Sans font", style="normal")
    monkeypatch.setattr(fontManager, "ttflist", [broken, *fontManager.ttflist])
    monkeypatch.setattr(fonts, "_families", {})
    assert fonts.can_draw(second_font) and not fonts.can_draw(no_font)


def test_fonts_are_searched_once(second_font, no_font, monkeypatch):
    monkeypatch.setattr(fonts, "_families", {})
    searched = []
    search = fonts._search_fonts
    monkeypatch.setattr(
        fonts, "_search_fonts", lambda wanted, found: searched.append(1) or search(wanted, found)
    )
    for _ in range(3):
        fonts.can_draw(second_font + no_font)
        fonts.can_draw(no_font)
    assert len(searched) == 1
