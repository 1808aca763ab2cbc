"""The Pulumi program's entry point."""

from infra.program import main

main()
