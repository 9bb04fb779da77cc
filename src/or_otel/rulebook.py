"""Settings, environment and files → who judges the calls of this process, and by which of the owner's rules.

The settings file is read once, when the process is instrumented; a file that cannot be used costs its policies,
never a call. Where providers sit is known from what `or-otel report --governance` kept beside the ledger.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote

from or_otel.appraisal import Appraiser
from or_otel.config_file import config_path
from or_otel.operations import ENVIRONMENT_TAG
from or_otel.semconv import DEPLOYMENT_ENVIRONMENT_NAME
from or_otel.settings import Settings

if TYPE_CHECKING:
    from or_otel.policies import Policy

logger = logging.getLogger(__name__)

RESOURCE = "OTEL_RESOURCE_ATTRIBUTES"


def appraiser_of(settings: Settings, environ: Mapping[str, str], ledger_folder: Path) -> Appraiser:
    """Make who judges the calls of this process.

    Args:
        settings: In force.
        environ: Such as `os.environ`.
        ledger_folder: Where the commands keep what the account told.
    """
    policies = read_policies(environ)
    return Appraiser(
        insights=settings.insights,
        prices=settings.prices,
        policies=policies,
        environment=settings.tags.get(ENVIRONMENT_TAG) or environment_from(environ),
        headquarters=_headquarters(policies, ledger_folder),
    )


def read_policies(environ: Mapping[str, str]) -> Sequence[Policy]:
    """Read the policies of the settings file; none where there is no file. What is wrong with it is logged."""
    path = config_path(environ)
    if path is None:
        return ()
    from or_otel.config import ConfigError, read_config  # noqa: PLC0415 -- slow, and most programs have no file

    try:
        return read_config(path, environ).policies
    except ConfigError as error:
        logger.warning("or-otel: no policy is in force until this is mended: %s", "; ".join(error.problems))
        return ()


def environment_from(environ: Mapping[str, str]) -> str | None:
    """Give the environment that the resource of this process names."""
    for pair in environ.get(RESOURCE, "").split(","):
        key, _, value = pair.partition("=")
        if key.strip() == DEPLOYMENT_ENVIRONMENT_NAME and value.strip():
            return unquote(value.strip())
    return None


def _headquarters(policies: Sequence[Policy], folder: Path) -> Mapping[str, str]:
    if not any(policy.headquarters for policy in policies):
        return {}
    from or_otel.account.offers import read_offers, seats_of  # noqa: PLC0415 -- only where a policy asks for it

    seats = seats_of(read_offers(folder).providers)
    if not seats:
        logger.warning(
            "or-otel: policies name headquarters, and where providers sit is not known: run `or-otel report "
            "--governance` once, which keeps the account's list of providers in %s",
            folder,
        )
    return seats
