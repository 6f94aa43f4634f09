"""How the show looks: tables that fold and never cut, names and times as people read them."""

from __future__ import annotations

import re
from datetime import datetime

from rich import box
from rich.table import Table

WIDE = 100
"""From so many columns on, there is room for networks and full names."""
NARROW = 18
ROOMY = 25
"""So wide are the names of errors where there is less room, and where there is."""


def table(*columns: str, title: str = "") -> Table:
    """A table that folds long cells and cuts none; `>` before a column is for numbers, `=` for what stays whole."""
    made = Table(
        box=box.SIMPLE_HEAD,
        title=title,
        title_justify="left",
        title_style="bold",
        pad_edge=False,
        collapse_padding=True,
    )
    for column in columns:
        right, whole = column.startswith(">"), column.startswith((">", "="))
        made.add_column(column.lstrip(">="), justify="right" if right else "left", no_wrap=whole, overflow="fold")
    return made


def short(user: str, *, wide: bool = False) -> str:
    """Return a person's name in full, or what stands before the domain where there is little room."""
    return user if wide else user.partition("@")[0]


def folded(word: str, most: int) -> str:
    """A long name such as AccessDeniedException over several lines, broken before capitals alone."""
    lines = [""]
    for part in re.findall(r"[A-Z]*[^A-Z]*", word):
        if lines[-1] and len(lines[-1]) + len(part) > most:
            lines.append("")
        lines[-1] += part
    return "\n".join(lines)


def moment(time: str) -> datetime:
    """Return a document's `@timestamp` as a time."""
    return datetime.fromisoformat(time)


def when(time: str) -> str:
    """Return a document's `@timestamp` as weekday and time of day, UTC."""
    return f"{moment(time):%a %H:%M:%S}"


def size(count: float) -> str:
    """Return a number of bytes with its unit."""
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} GB"
