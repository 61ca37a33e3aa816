"""Formats durations for people."""


def duration(seconds: float) -> str:
    """Formats seconds: "4.2 s", "41 s", "1 min 23 s", "2 h 05 min"."""
    if seconds < 9.95:
        return f"{max(seconds, 0):.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if not minutes:
        return f"{rest} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s"
