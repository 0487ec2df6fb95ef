"""What the checks look at, and what earlier ones have found out for later ones."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from theseus_ci.config.types import Config
from theseus_ci.manifest import Release
from theseus_ci.model import Object
from theseus_ci.ports import Server
from theseus_ci.preflight.running import Running
from theseus_ci.rights.needed import Right
from theseus_ci.rollout.context import World


@dataclass
class Patient:
    """A place and, where theseus.yaml could be read, the service to release there."""

    world: World
    server: Server
    namespace: str
    folder: Path  # where a flow file is looked for
    config: Config | None = None
    release: Release | None = None
    account: str = ""
    missing: list[Right] = field(default_factory=list)
    service: Object | None = None
    virtual_services: list[Object] = field(default_factory=list)
    previous: Running | None = None
