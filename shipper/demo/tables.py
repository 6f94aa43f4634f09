"""How the show looks: tables that fold and never cut, names and times as people read them."""

from __future__ import annotations

from datetime import datetime

from rich import box
from rich.table import Table

WIDE = 100
"""From so many columns on, there is room for networks and full names."""


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
