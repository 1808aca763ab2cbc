"""A prompt in the registry."""

from __future__ import annotations

from delivery.smoke.bench import Bench
from delivery.smoke.check import expect

FIRST = "Answer {{question}}."
SECOND = "Answer {{question}} in one sentence."


def prompt(bench: Bench) -> str:
    """A prompt gets two versions; either is loaded and filled in."""
    bench.made.prompt_name = bench.prompt_name
    for template in (FIRST, SECOND):
        version = bench.client.register_prompt(bench.prompt_name, template)
        bench.made.prompt_version = str(version.version)
    first = bench.client.load_prompt(f"prompts:/{bench.prompt_name}/1")
    expect("template of version 1", first.template, FIRST)
    second = bench.client.load_prompt(f"prompts:/{bench.prompt_name}/{bench.made.prompt_version}")
    expect("prompt filled in", second.format(question="why"), "Answer why in one sentence.")
    found = bench.client.search_prompts(f"name = '{bench.prompt_name}'")
    expect("prompts of that name", [item.name for item in found], [bench.prompt_name])
    return "2 versions"
