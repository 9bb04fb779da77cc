"""`python -m or_otel.cli`: the command where its script is not on the path."""

from or_otel.cli import main

main(prog_name="or-otel")
