"""The look of the page: the figures' palette, the system's fonts, and no files from elsewhere."""

from typing import Any

from cnn_jax.report import colours

# Blue on black would be too faint for a chosen tab. A gallery has as many columns as have room,
# and as many rows as it needs; its captions are not cut off.
CSS = f"""
.dark {{ --color-accent: {colours.SKY}; }}
.gallery .grid-wrap {{ min-height: 0; max-height: none; }}
.gallery .grid-container {{ grid-template-columns: repeat(auto-fill, minmax(5rem, 1fr)); }}
.gallery .caption-label {{ max-width: none; padding: 0 0.3rem; font-size: 0.7rem; }}
"""


def theme() -> Any:
    """Gradio's plain theme in the colours of the figures, for light and dark."""
    import gradio as gr

    blue = gr.themes.Color(
        name="okabe_ito_blue",
        c50="#eaf4fb",
        c100="#cfe6f5",
        c200="#a3d0ec",
        c300=colours.SKY,
        c400="#2f93cd",
        c500=colours.BLUE,
        c600=colours.BLUE,
        c700="#005a8f",
        c800="#00456d",
        c900="#00304c",
        c950="#001d2e",
    )
    made = gr.themes.Base(
        primary_hue=blue,
        secondary_hue=blue,
        neutral_hue=gr.themes.colors.slate,
        font=("system-ui", "sans-serif"),
        font_mono=("ui-monospace", "monospace"),
    )
    # Gradio's grey has too little contrast on white.
    return made.set(body_text_color_subdued="*neutral_500")
