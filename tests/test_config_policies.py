"""`[[policies]]` of the settings file."""

from __future__ import annotations

import pytest

from or_otel.config import ConfigError, read_config
from or_otel.policies import Policy

WHOLE = """
[[policies]]
name = "eu-only"
environments = ["production", "staging-*"]
tags = { team = "health" }
providers = ["azure", "Amazon Bedrock"]
forbidden_providers = ["deepseek"]
models = ["openai/*"]
forbidden_models = ["*:free"]
data_collection = "deny"
zdr = true
regions = ["fra"]
headquarters = ["US", "DE"]
max_input_tokens = 100000
max_output_tokens = 4096
require_fallback = true
"""


def problems(text):
    with pytest.raises(ConfigError) as told:
        read_config(text, {})
    return "\n".join(told.value.problems)


def test_every_rule_is_read():
    (policy,) = read_config(WHOLE, {}).policies

    assert policy == Policy(
        name="eu-only",
        environments=("production", "staging-*"),
        tags={"team": "health"},
        providers=("azure", "Amazon Bedrock"),
        forbidden_providers=("deepseek",),
        models=("openai/*",),
        forbidden_models=("*:free",),
        data_collection="deny",
        zdr=True,
        regions=("fra",),
        headquarters=("US", "DE"),
        max_input_tokens=100_000,
        max_output_tokens=4096,
        require_fallback=True,
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("zdr = true", "policies[0]: name is missing"),
        ('name = "p"', "policies[0]: a rule is missing"),
        ('name = "p"\nenvironments = ["x"]', "a rule is missing"),
        ('name = "P p"\nzdr = true', "policies[0].name = 'P p': expected lower case letters"),
        ('name = "p"\nzdr = "yes"', "policies[0].zdr = 'yes': expected true or false"),
        ('name = "p"\ndata_collection = "allow"', "expected one of deny"),
        ('name = "p"\nproviders = "azure"', "policies[0].providers = 'azure': expected a list of a provider"),
        ('name = "p"\nheadquarters = ["Germany"]', "expected a country code, as 'US'"),
        ('name = "p"\nmax_input_tokens = 1.5', "expected a whole number of tokens"),
        ('name = "p"\nmax_input_token = 5', "did you mean 'max_input_tokens'"),
        ('name = "p"\nzdr = true\n[[policies]]\nname = "p"\nzdr = true', "a name that no other policy has"),
    ],
)
def test_a_mistake_is_told_with_what_would_be_right(text, said):
    assert said in problems(f"[[policies]]\n{text}")
