"""Table output: the columns that `kubectl get` prints."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from theseus_ci.sandbox.apiserver import cells
from theseus_ci.sandbox.apiserver.errors import Object
from theseus_ci.sandbox.apiserver.kinds import Resource

Row = list[Any]


@dataclass(frozen=True)
class Column:
    """One column; a wide one has priority 1."""

    name: str
    type: str = "string"
    wide: bool = False
    format: str = ""

    def as_definition(self) -> Object:
        return {
            "name": self.name,
            "type": self.type,
            "format": self.format or ("name" if self.name == "Name" else ""),
            "description": "",
            "priority": int(self.wide),
        }


@dataclass(frozen=True)
class Layout:
    """The columns of a kind and the cells of one object."""

    columns: tuple[Column, ...]
    cells: Callable[[Object], Row]


def _columns(text: str) -> tuple[Column, ...]:
    """Columns from a list of names: a leading + is wide, a trailing # is an integer."""
    return tuple(
        Column(
            name.strip("+#"), "integer" if name.endswith("#") else "string", name.startswith("+")
        )
        for name in (part.strip() for part in text.split(","))
    )


def _layout(text: str, row: Callable[[Object], Row]) -> Layout:
    return Layout(_columns(text), row)


GENERIC = _layout("Name, Age", lambda obj: [cells.name(obj), cells.age(obj)])
LAYOUTS: dict[tuple[str, str], Layout] = {
    ("", "pods"): _layout(
        "Name, Ready, Status, Restarts, Age, +IP, +Node, +Nominated Node, +Readiness Gates",
        cells.pod,
    ),
    ("apps", "deployments"): _layout(
        "Name, Ready, Up-to-date#, Available#, Age, +Containers, +Images, +Selector",
        cells.deployment,
    ),
    ("apps", "replicasets"): _layout(
        "Name, Desired#, Current#, Ready#, Age, +Containers, +Images, +Selector",
        cells.replicaset,
    ),
    ("", "services"): _layout(
        "Name, Type, Cluster-IP, External-IP, Port(s), Age, +Selector", cells.service
    ),
    ("autoscaling", "horizontalpodautoscalers"): _layout(
        "Name, Reference, Targets, MinPods, MaxPods, Replicas#, Age", cells.autoscaler
    ),
    ("discovery.k8s.io", "endpointslices"): _layout(
        "Name, AddressType, Ports, Endpoints, Age", cells.endpoint_slice
    ),
    ("", "endpoints"): _layout("Name, Endpoints, Age", cells.endpoints),
    ("coordination.k8s.io", "leases"): _layout("Name, Holder, Age", cells.lease),
    ("", "configmaps"): _layout("Name, Data#, Age", cells.configmap),
    ("", "secrets"): _layout("Name, Type, Data#, Age", cells.secret),
    ("", "serviceaccounts"): _layout("Name, Secrets#, Age", cells.service_account),
    ("", "nodes"): _layout(
        "Name, Status, Roles, Age, Version, +Internal-IP, +External-IP, +OS-Image, "
        "+Kernel-Version, +Container-Runtime",
        cells.node,
    ),
    ("", "events"): _layout(
        "Last Seen, Type, Reason, Object, +Subobject, +Source, Message, +First Seen, +Count#, "
        "+Name",
        cells.event,
    ),
    ("", "namespaces"): _layout("Name, Status, Age", cells.namespace),
    ("policy", "poddisruptionbudgets"): _layout(
        "Name, Min Available, Max Unavailable, Allowed Disruptions#, Age", cells.budget
    ),
    ("batch", "jobs"): _layout(
        "Name, Status, Completions, Duration, Age, +Containers, +Images, +Selector", cells.job
    ),
    ("rbac.authorization.k8s.io", "roles"): _layout("Name, Created At", cells.role),
    ("rbac.authorization.k8s.io", "clusterroles"): _layout("Name, Created At", cells.role),
    ("rbac.authorization.k8s.io", "rolebindings"): _layout("Name, Role, Age", cells.role_binding),
    ("rbac.authorization.k8s.io", "clusterrolebindings"): _layout(
        "Name, Role, Age", cells.role_binding
    ),
    ("apiextensions.k8s.io", "customresourcedefinitions"): _layout("Name, Created At", cells.role),
}


def _custom(resource: Resource, version: str) -> Layout:
    versions = resource.crd["spec"]["versions"]
    declared = next(v for v in versions if v["name"] == version).get("additionalPrinterColumns")
    if not declared:
        return GENERIC
    columns = tuple(
        Column(
            column["name"],
            "string" if column["type"] == "date" else column["type"],
            column.get("priority", 0) > 0,
            column.get("format", ""),
        )
        for column in declared
    )

    def row(obj: Object) -> Row:
        return [cells.name(obj), *(_custom_cell(obj, column) for column in declared)]

    return Layout((Column("Name"), *columns), row)


def _custom_cell(obj: Object, column: Object) -> Any:
    value: Any = obj
    for step in re.findall(r"\.([A-Za-z0-9_\-]+)|\[(\d+)\]", column["jsonPath"]):
        name, index = step
        if name:
            value = value.get(name) if isinstance(value, dict) else None
        else:
            items = value if isinstance(value, list) else []
            value = items[int(index)] if int(index) < len(items) else None
    if value is None:
        return None
    if column["type"] == "date":
        return cells.since(str(value))
    if column["type"] == "string" and not isinstance(value, str):
        return cells.compact(value)
    return value


def layout(resource: Resource, version: str) -> Layout:
    if resource.custom:
        return _custom(resource, version)
    return LAYOUTS.get(resource.key, GENERIC)


def _row_object(obj: Object, include: str) -> Object | None:
    if include == "None":
        return None
    if include == "Object":
        return obj
    return partial(obj)


def partial(obj: Object) -> Object:
    """The object's metadata alone, as PartialObjectMetadata."""
    return {
        "kind": "PartialObjectMetadata",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": obj["metadata"],
    }


def table(
    resource: Resource,
    version: str,
    objects: list[Object],
    metadata: Object,
    *,
    include: str = "Metadata",
    headers: bool = True,
) -> Object:
    """A Table of `objects`; `include` is Metadata, Object or None."""
    shape = layout(resource, version)
    rows = []
    for obj in objects:
        row: Object = {"cells": shape.cells(obj)}
        shown = _row_object(obj, include)
        if shown is not None:
            row["object"] = shown
        rows.append(row)
    definitions = [column.as_definition() for column in shape.columns] if headers else None
    return {
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": metadata,
        "columnDefinitions": definitions,
        "rows": rows,
    }


def status_table(status: Object) -> Object:
    """A Status (the answer to a deletion) as a Table."""
    columns = [Column("Status"), Column("Reason"), Column("Message")]
    row = [status.get("status", ""), status.get("reason", ""), status.get("message", "")]
    return {
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": {},
        "columnDefinitions": [column.as_definition() for column in columns],
        "rows": [{"cells": row}],
    }
