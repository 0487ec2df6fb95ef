"""Reads theseus.yaml into a Config, and a Config into the state artefact and back."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from theseus_ci.config import environment, rules
from theseus_ci.config.decode import Finding, check_mapping, decode, raise_all
from theseus_ci.config.document import Document, DocumentError, parse_yaml, read_source
from theseus_ci.config.keypath import KeyPath, resolve
from theseus_ci.config.overrides import lay_over
from theseus_ci.config.plain import decode_quantity, to_plain
from theseus_ci.config.types import Config
from theseus_ci.errors import ConfigError, StateError

FILES: tuple[tuple[str | None, ...], ...] = (
    ("manifest",),
    ("smoke", None, "bash"),
    ("smoke", None, "bash", "script"),
    *(
        ("smoke", None, kind, "tls", key)
        for kind in ("http", "tcp")
        for key in ("ca", "clientCert", "clientKey")
    ),
    ("smoke", None, "ssh", "identityFile"),
    ("performance", "tls", "ca"),
    ("performance", "driver", "k6"),
    ("performance", "driver", "wrk"),
    ("performance", "driver", "hey"),
    ("performance", "anchor"),
)
"""Where a path may stand that is relative to the configuration's folder; None is any index."""


MAY_HOLD_SECRETS = frozenset({"smoke", "performance"})


class ReferringConfig(Config, frozen=True, kw_only=True):
    """A Config with texts from the environment; keeps what stood there before."""

    references: tuple[tuple[KeyPath, str], ...] = ()


def load_config(
    path: Path | str,
    overrides: Mapping[str, str] | None = None,
    *,
    sources: Mapping[str, str] | None = None,
    environ: Mapping[str, str] | None = None,
    check_files: bool = True,
) -> Config:
    """The configuration in a file, or on the standard input for `-`.

    `overrides` replace keys (`entrypoint`, `waits.mesh`) after the file was read; `sources` names
    each for errors (default: its option, `--entrypoint`). Relative paths come out relative to the
    current folder where they lie inside it, so that another agent's workspace can use them, and
    absolute elsewhere. `${env:NAME}` is expanded from `environ`, by default the process's.
    Raises ConfigError with file, line, column and key path.
    """
    environ = os.environ if environ is None else environ
    document = _read(path)
    check_mapping(document)
    document = lay_over(document, overrides or {}, sources or {})
    folder = Path() if str(path) == "-" else Path(path).parent
    _resolve_paths(document.value, folder, document.origins)
    found = tuple(environment.references(document.value))
    raise_all(list(_unexpandable(document, found, environ)))
    expanded = msgspec.structs.replace(document, value=environment.expand(document.value, environ))
    config = decode(expanded, Config)
    problems = list(rules.validate(config))
    if check_files and not problems:
        problems = list(rules.missing_files(config))
    raise_all([(_place(document, at), message) for at, message in problems])
    return _with_references(config, found)


def dump(config: Config) -> dict[str, Any]:
    """The configuration as JSON-able values under the file's own keys; every default is written
    out, so that a newer version's defaults do not change a rollout under way. What came from the
    environment is there as its reference alone."""
    tree = to_plain(config)
    if isinstance(config, ReferringConfig):
        del tree["references"]
        for path, text in config.references:
            environment.replace_at(tree, path, text)
    return dict(tree)


def config_from_dict(data: Mapping[str, Any], environ: Mapping[str, str] | None = None) -> Config:
    """The configuration that `dump` wrote, for the state artefact.

    A variable that the environment lacks is no error here, since most stages do not need it: see
    `missing_variables`. Raises StateError.
    """
    environ = os.environ if environ is None else environ
    expanded = environment.expand(dict(data), environ)
    try:
        config = msgspec.convert(expanded, Config, dec_hook=decode_quantity)
    except msgspec.ValidationError as error:
        raise StateError(f"the configuration in the state cannot be read: {error}") from error
    return _with_references(config, tuple(environment.references(dict(data))))


def require_variables(part: Any, where: str) -> None:
    """Raise ConfigError when a part of the configuration waits for variables that are not set."""
    missing = missing_variables(part)
    if missing:
        raise ConfigError(
            f"environment variables are not set: {', '.join(missing)}",
            where=where,
            remedy="set them for this command too (withCredentials in Jenkins): the state artefact "
            "keeps their names, never their values",
        )


def missing_variables(part: Any) -> list[str]:
    """Names of environment variables that a configuration, or a part of it, still waits for."""
    plain = to_plain(part)
    if isinstance(part, ReferringConfig):
        del plain["references"]  # what stood in the file, not what is still to be filled in
    texts = [text for _, text in environment.references(plain)]
    return sorted({name for text in texts for name in environment.REFERENCE.findall(text)})


def _read(path: Path | str) -> Document:
    source = "<stdin>" if str(path) == "-" else str(path)
    try:
        documents = list(parse_yaml(read_source(path), source))
    except DocumentError as error:
        remedy = ""
        if error.mark is None:
            remedy = "`theseus-ci init` writes a theseus.yaml from what runs in the cluster"
        raise ConfigError(str(error), where=error.at(source), remedy=remedy) from error
    filled = [document for document in documents if document.value is not None]
    if len(filled) > 1:
        start = filled[1].start
        where = f"{source}:{start.line}:{start.column}"
        raise ConfigError(
            "a second document begins here; one file describes one service", where=where
        )
    if not filled:
        raise ConfigError("is empty", where=source)
    return filled[0]


def _resolve_paths(value: Any, folder: Path, keep: Mapping[KeyPath, str]) -> None:
    for pattern in FILES:
        for path, given in _found(value, pattern, ()):
            if isinstance(given, str) and path not in keep:
                environment.replace_at(value, path, _resolved(given, folder))


def _found(
    value: Any, pattern: tuple[str | None, ...], path: KeyPath
) -> Iterator[tuple[KeyPath, Any]]:
    if not pattern:
        yield path, value
    elif pattern[0] is None:
        for index, inner in enumerate(value if isinstance(value, list) else ()):
            yield from _found(inner, pattern[1:], (*path, index))
    elif isinstance(value, dict) and pattern[0] in value:
        yield from _found(value[pattern[0]], pattern[1:], (*path, pattern[0]))


def _resolved(given: str, folder: Path) -> str:
    if not given.strip() or given == "-" or given.startswith(("/", "~", "${env:")):
        return given
    full = os.path.normpath(Path.cwd() / folder / given)
    inside = os.path.relpath(full)
    return full if Path(inside).parts[:1] == (os.pardir,) else inside


def _unexpandable(
    document: Document, found: tuple[tuple[KeyPath, str], ...], environ: Mapping[str, str]
) -> Iterator[Finding]:
    for path, text in found:
        for message in environment.problems(text, environ):
            yield document.where(path), message


def _place(document: Document, at: str) -> str:
    return document.where(resolve(at, document.value))


def _with_references(config: Config, found: tuple[tuple[KeyPath, str], ...]) -> Config:
    """Remember references that may be secrets: texts that checks and load send.

    All else (an entrypoint, a version) goes into the state as it is, so that a rollback needs
    nothing of the environment that the rollout began in.
    """
    kept = tuple(
        (path, text)
        for path, text in found
        if path[0] in MAY_HOLD_SECRETS and isinstance(_at(config, path), str)
    )
    if not kept:
        return config
    fields = {name: getattr(config, name) for name in config.__struct_fields__}
    return ReferringConfig(**fields, references=kept)


def _at(value: Any, path: KeyPath) -> Any:
    for part in path:
        if isinstance(value, msgspec.Struct):
            names = dict(zip(value.__struct_encode_fields__, value.__struct_fields__, strict=True))
            value = getattr(value, names[str(part)])
        else:
            value = value[part]
    return value
