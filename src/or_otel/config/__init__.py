"""`or-otel.toml` → one frozen `Config`: the account, whose keys, budgets, contracts, notices.

The file is found by `find_config`, read by `read_config`; environment variables come in as a mapping.
Whatever is wrong is told at once, in `ConfigError`: where, what stands there, what would be right. No
secret stands in the file, only names of variables or of a file that hold one. What the in-process
side reads from variables alone is in `settings`. Every table and key: `docs/configuration.md`.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path

from or_otel.accounts import DEFAULT_BASE_URL, AccountKey
from or_otel.budgets import Budget
from or_otel.config.keys import Assignment, KeyMap, KeyRule, assign, match_keys
from or_otel.config.options import AccountOptions, ExporterOptions, NotifyOptions, ProviderContract
from or_otel.config.reading import READERS, is_http_url
from or_otel.config.tables import Table, shown_value
from or_otel.config_file import CONFIG, FILE_NAME, config_path
from or_otel.policies import Policy

BASE_URL = "OR_OTEL_BASE_URL"
__all__ = [
    "BASE_URL",
    "CONFIG",
    "FILE_NAME",
    "Config",
    "ConfigError",
    "config_path",
    "find_config",
    "read_config",
    "read_urls",
]


class ConfigError(Exception):
    """The settings file cannot be used.

    Attributes:
        problems: Everything that is wrong with it, a sentence each.
    """

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """The whole file.

    Attributes:
        path: Where it was read; None when there is none.
        account: Whom to ask.
        keys: Whose is which key; the first row that matches wins.
        budgets: In the order of the file; names are unique.
        byok: Provider, lower case → contract.
        exporter: How the exporter works.
        notify: What is told to whom.
        policies: Rules of the owner, in the order of the file; names are unique.
        metric_tags: Tags let onto metrics; None leaves it to `OR_OTEL_METRIC_TAGS`.
    """

    path: Path | None = None
    account: AccountOptions = field(default_factory=AccountOptions)
    keys: tuple[KeyRule, ...] = ()
    budgets: tuple[Budget, ...] = ()
    byok: Mapping[str, ProviderContract] = field(default_factory=dict)
    exporter: ExporterOptions = field(default_factory=ExporterOptions)
    notify: NotifyOptions = field(default_factory=NotifyOptions)
    policies: tuple[Policy, ...] = ()
    metric_tags: tuple[str, ...] | None = None

    def assign(self, key: AccountKey | None, fingerprint: str | None = None) -> Assignment:
        """Give whom a key belongs to, by its row of the account, by its fingerprint, or both."""
        return assign(self.keys, key, fingerprint)

    def owner_of(self, keys: Sequence[AccountKey], held_keys: Iterable[str] = ()) -> Callable[[AccountKey], Assignment]:
        """Give what assigns these keys, by the rows of fingerprints too as far as it is proven which key is which.

        Args:
            keys: Every key that will be asked about.
            held_keys: API keys that this process holds: they prove it.
        """
        marks = [rule.fingerprint for rule in self.keys if rule.fingerprint is not None]
        key_map = self.match_keys(keys, marks, held_keys)
        return lambda key: self.assign(key, key_map.fingerprint_of(key.hash))

    def match_keys(
        self, keys: Sequence[AccountKey], fingerprints: Iterable[str], held_keys: Iterable[str] = ()
    ) -> KeyMap:
        """Find which client fingerprint is which key of the account; see `config.keys.match_keys`."""
        return match_keys(self.keys, keys, fingerprints, held_keys)


def find_config(environ: Mapping[str, str], folder: Path | None = None) -> Config:
    """Find the settings file and read it.

    `OR_OTEL_CONFIG`, else `or-otel.toml` in the working folder, else `$XDG_CONFIG_HOME/or-otel/or-otel.toml`
    (`~/.config` by default), else defaults.

    Args:
        environ: Such as `os.environ`.
        folder: Stands for the working folder.

    Raises:
        ConfigError: The file cannot be used, or `OR_OTEL_CONFIG` names none.
    """
    path = config_path(environ, folder)
    return read_config("" if path is None else path, environ)


def read_config(source: Path | str, environ: Mapping[str, str]) -> Config:
    """Read the settings file.

    Args:
        source: Its path, or its text.
        environ: Variables that win over the file: `OR_OTEL_BASE_URL`.

    Raises:
        ConfigError: With every problem of the file.
    """
    path = source if isinstance(source, Path) else None
    where = FILE_NAME if path is None else str(path)
    try:
        text = path.read_text(encoding="utf-8") if path is not None else str(source)
        values = tomllib.loads(text, parse_float=Decimal)
    except OSError as error:
        raise ConfigError([f"{where}: {error.strerror or 'not readable'}: expected a readable file"]) from error
    except UnicodeDecodeError as error:
        raise ConfigError([f"{where}: not UTF-8 at byte {error.start}: expected a TOML file in UTF-8"]) from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError([f"{where}: no TOML: {error}"]) from None  # a chained error would show the text
    problems: list[str] = []
    file = Table(values, "", problems)
    read = {name: reader(file) for name, reader in READERS.items()}
    file.done()
    problems = [f"{where}: {problem}" for problem in problems]
    config = replace(Config(path=path), **read)  # type: ignore[arg-type]
    if config.notify.urls_file is not None and path is not None:
        # As everywhere in the file, a path is relative to the file, not to where a program was started.
        config = replace(config, notify=replace(config.notify, urls_file=path.parent / config.notify.urls_file))
    base_url = environ.get(BASE_URL, "").strip()
    if base_url:
        if is_http_url(base_url):
            config = replace(config, account=replace(config.account, base_url=base_url.rstrip("/")))
        else:
            problems.append(f"{BASE_URL}={shown_value(base_url)}: expected a URL, as {DEFAULT_BASE_URL}")
    if problems:
        raise ConfigError(problems)
    return config


def read_urls(notify: NotifyOptions, environ: Mapping[str, str]) -> tuple[str, ...]:
    """Fetch the addresses of notices; they hold credentials, so keep them out of sight.

    Raises:
        ConfigError: A variable is not set, or the file cannot be read. Addresses are never repeated.
    """
    problems, urls = [], []
    for index, name in enumerate(notify.url_variables):
        if url := environ.get(name, "").strip():
            urls.append(url)
        else:
            problems.append(f"notify.urls[{index}]: ${name} is not set: expected an Apprise URL in that variable")
    if notify.urls_file is not None:
        try:
            lines = notify.urls_file.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            said = error.strerror if isinstance(error, OSError) else "not UTF-8"
            problems.append(f"notify.urls_file: {notify.urls_file}: {said}: expected one Apprise URL a line")
        else:
            urls += [line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#")]
    if problems:
        raise ConfigError(problems)
    return tuple(dict.fromkeys(urls))
