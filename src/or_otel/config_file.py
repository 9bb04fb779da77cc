"""Which `or-otel.toml` is in force: environment and folders in, a path out. Light, for programs that have none."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

FILE_NAME = "or-otel.toml"
CONFIG = "OR_OTEL_CONFIG"


def config_path(environ: Mapping[str, str], folder: Path | None = None) -> Path | None:
    """Give which file is in force; None when there is none."""
    named = environ.get(CONFIG, "").strip()
    if named:
        return Path(named).expanduser()
    home = environ.get("XDG_CONFIG_HOME", "")
    # The XDG specification says to ignore a relative path.
    base = Path(home) if home.startswith("/") else Path(environ.get("HOME", "~")).expanduser() / ".config"
    places = ((folder or Path.cwd()) / FILE_NAME, base / "or-otel" / FILE_NAME)
    return next((place for place in places if place.is_file()), None)
