"""Builds the real tier's servers: `python -m tests.tier.build`.

The result is kept outside the repository, in a folder named after a digest of everything it is made
of, so that a second run only finds it. Prints the folder as its last line. Needs Go, and for the
first run its module proxy; exit code 3 when either is missing or a build fails.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import yaml

from theseus_ci.sandbox.real import binaries

SOURCES = Path(__file__).resolve().parent
KEPT_BUILDS = 2
ISTIO = "istio.io/istio"
ISTIO_CRDS = Path("manifests", "charts", "base", "files", "crd-all.gen.yaml")
KUBERNETES = "k8s.io/kubernetes"
OFTEN_INSTALLED = (Path("/usr/local/go/bin/go"), Path("/usr/lib/go/bin/go"))


class BuildError(Exception):
    """The servers cannot be built; the message says why and what helps."""


@dataclass(frozen=True)
class Program:
    """One program of a Go module: `package` in the folder `module`, written as `name`."""

    name: str
    module: str
    package: str
    flags: str


def programs() -> list[Program]:
    """Everything there is to build; Kubernetes' own is not where $KUBEBUILDER_ASSETS has it."""
    given = Path(os.environ.get(binaries.KUBERNETES_FOLDER) or "/nonexistent")
    kubernetes = [
        Program(name, "kubernetes", f"./{name}", kubernetes_flags())
        for name in (binaries.KUBE_APISERVER, binaries.KUBE_CONTROLLER_MANAGER)
        if not (given / name).is_file()
    ]
    return [*kubernetes, Program(binaries.XDS, "istio", ".", "-s -w")]


def kubernetes_flags() -> str:
    """Kubernetes' release builds write their version in while linking; clients ask for it."""
    text = (SOURCES / "kubernetes" / "go.mod").read_text(encoding="utf-8")
    found = re.search(rf"\s{re.escape(KUBERNETES)} (v(\d+)\.(\d+)\.\d+)\n", text)
    if found is None:
        raise BuildError(f"tests/tier/kubernetes/go.mod does not require {KUBERNETES}")
    version = {"gitVersion": found[1], "gitMajor": found[2], "gitMinor": found[3]}
    package = "k8s.io/component-base/version"
    return "-s -w " + " ".join(f"-X {package}.{name}={value}" for name, value in version.items())


def digest(wanted: list[Program]) -> str:
    """Names one build: its sources, versions (go.mod, go.sum) and flags."""
    summed = hashlib.sha256(repr(wanted).encode())
    for path in sorted(SOURCES.rglob("*")):
        if path.suffix in {".go", ".mod", ".sum"}:
            summed.update(f"\0{path.relative_to(SOURCES)}\0".encode() + path.read_bytes())
    return summed.hexdigest()[:16]


def build(cache: Path) -> Path:
    """Build unless it was built before; returns the folder. Raises BuildError."""
    wanted = programs()
    folder = cache / f"tier-{digest(wanted)}"
    cache.mkdir(parents=True, exist_ok=True)
    with _alone(cache / "tier.lock"):
        if not folder.is_dir():
            _build_into(folder, wanted)
        folder.touch()
        _point(cache / binaries.CURRENT, folder)
        _forget_old(cache, folder)
    return folder


def _build_into(folder: Path, wanted: list[Program]) -> None:
    """Make the folder complete or not at all."""
    go = _go()
    with tempfile.TemporaryDirectory(prefix=".tier-", dir=folder.parent) as place:
        fresh = Path(place, "fresh")
        fresh.mkdir()
        for program in wanted:
            begun = time.monotonic()
            _say(f"building {program.name} (the first time this takes minutes)")
            _run(go, program, "build", "-mod=readonly", "-trimpath", "-ldflags", program.flags,
                 "-o", str(fresh / program.name), program.package)  # fmt: skip
            size = (fresh / program.name).stat().st_size / 1e6
            _say(f"built {program.name}: {time.monotonic() - begun:.0f} s, {size:.0f} MB")
        istio = next(program for program in wanted if program.module == "istio")
        module = _run(go, istio, "list", "-mod=readonly", "-m", "-f", "{{.Dir}}", ISTIO).strip()
        _write_crds(Path(module) / ISTIO_CRDS, fresh / binaries.CRDS)
        fresh.rename(folder)


def _run(go: Path, program: Program, *arguments: str) -> str:
    """Run Go in the program's module; returns what it printed. Raises BuildError."""
    done = subprocess.run(
        [str(go), *arguments],
        cwd=SOURCES / program.module,
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise BuildError(f"go {arguments[0]} of {program.name} ended with {done.returncode}")
    return done.stdout


def _go() -> Path:
    found = shutil.which("go") or next((str(path) for path in OFTEN_INSTALLED if path.exists()), "")
    if not found:
        raise BuildError(
            "Go is not installed: the real tier is built with Go 1.26 or newer"
            " (https://go.dev/dl, or Debian's golang-go, which fetches the newer one by itself)"
        )
    return Path(found)


def _write_crds(source: Path, target: Path) -> None:
    """Istio's CustomResourceDefinitions as JSON, which is read fifty times faster than YAML."""
    with source.open(encoding="utf-8") as stream:
        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        crds = [item for item in yaml.load_all(stream, loader) if item]
    target.write_text(json.dumps(crds), encoding="utf-8")


def _point(link: Path, folder: Path) -> None:
    fresh = link.with_name(f".{link.name}.{os.getpid()}")
    fresh.unlink(missing_ok=True)
    fresh.symlink_to(folder.name)
    fresh.replace(link)


def _forget_old(cache: Path, current: Path) -> None:
    """Builds are 300 MB each: keep the newest few."""
    builds = [path for path in cache.glob("tier-*") if path.is_dir() and path != current]
    builds.sort(key=lambda path: path.stat().st_mtime, reverse=True)
    for old in builds[KEPT_BUILDS - 1 :]:
        shutil.rmtree(old, ignore_errors=True)


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Hold the lock: whoever comes second finds what the first has built."""
    with path.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            _say("waiting for another build")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.tier.build", description=__doc__)
    parser.add_argument(
        "--cache", type=Path, default=binaries.cache_directory(), help="default: %(default)s"
    )
    options = parser.parse_args()
    begun = time.monotonic()
    try:
        folder = build(options.cache)
    except BuildError as error:
        _say(f"error: {error}")
        return 3
    _say(f"the real tier's servers are there after {time.monotonic() - begun:.1f} s")
    print(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
