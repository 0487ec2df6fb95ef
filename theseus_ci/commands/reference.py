"""The README's generated parts: tables of commands and flows, the reference of theseus.yaml."""

from __future__ import annotations

from pathlib import Path

from theseus_ci.arguments.catalogue import COMMANDS, STAGES
from theseus_ci.config import reference
from theseus_ci.flow import load_flow, shipped_flows


def commands_table() -> str:
    """Every command and what it does, stages first."""
    lines = ["| command | what it does |", "|---|---|"]
    lines += [f"| `{name}` | {summary} |" for name, summary in {**STAGES, **COMMANDS}.items()]
    return "\n".join(lines) + "\n"


def flows_table() -> str:
    """The steps of every shipped flow, with their weights and bakes."""
    lines = ["| flow | steps |", "|---|---|"]
    for name in shipped_flows():
        steps = (f"`{f'{step.command} {step.argument}'.strip()}`" for step in load_flow(name).steps)
        lines.append(f"| `{name}` | {' · '.join(steps)} |")
    return "\n".join(lines) + "\n"


def filled(readme: str) -> str:
    """The README's text with its generated parts as they should be."""
    parts = {
        "commands": commands_table(),
        "flows": flows_table(),
        "configuration": reference.markdown(),
    }
    for name, text in parts.items():
        before, opening, rest = readme.partition(f"<!-- {name} -->\n")
        _, closing, after = rest.partition(f"<!-- /{name} -->")
        readme = before + opening + text + closing + after
    return readme


if __name__ == "__main__":
    path = Path("README.md")
    path.write_text(filled(path.read_text(encoding="utf-8")), encoding="utf-8")
