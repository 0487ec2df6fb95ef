"""Manifests in files, folders and on the standard input become one release, or a clear error."""

from __future__ import annotations

import copy
import io
import json
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from theseus_ci.errors import EXIT_USAGE, ManifestError
from theseus_ci.manifest import (
    Release,
    descends,
    label_value,
    name_suffix,
    read_manifest,
    rename,
    wanted_replicas,
)

EXAMPLES = Path(__file__).parents[2] / "examples"
SOCK_SHOP = EXAMPLES / "sock-shop/manifests/complete-demo.yaml"
BOOKINFO = EXAMPLES / "bookinfo/manifests"

DEPLOYMENT: dict[str, Any] = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "web", "labels": {"app": "web"}},
    "spec": {
        "replicas": 3,
        "selector": {"matchLabels": {"app": "web"}},
        "template": {
            "metadata": {"labels": {"app": "web"}},
            "spec": {"containers": [{"name": "web", "image": "web:1"}]},
        },
    },
}
HPA: dict[str, Any] = {
    "apiVersion": "autoscaling/v2",
    "kind": "HorizontalPodAutoscaler",
    "metadata": {"name": "web"},
    "spec": {"scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}},
}
SETTINGS = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "s"}, "data": {"a": "1"}}


def write(folder: Path, *objects: Any, name: str = "m.yaml") -> Path:
    path = folder / name
    path.write_text(yaml.safe_dump_all(objects, sort_keys=False))
    return path


def changed(**at: Any) -> dict[str, Any]:
    """DEPLOYMENT with the value at a path (`spec__replicas`) replaced, or removed for None."""
    deployment = copy.deepcopy(DEPLOYMENT)
    for path, value in at.items():
        *parents, last = path.split("__")
        target: Any = deployment
        for part in parents:
            target = target[part]
        if value is None:
            del target[last]
        else:
            target[last] = value
    return deployment


def refusal(path: Path | str, **more: Any) -> ManifestError:
    with pytest.raises(ManifestError) as caught:
        read_manifest(path, namespace=more.pop("namespace", "shop"), **more)
    assert caught.value.exit_code == EXIT_USAGE
    return caught.value


def test_a_deployment_with_what_comes_with_it(tmp_path: Path) -> None:
    other = copy.deepcopy(HPA)
    other["metadata"]["name"] = "other"
    other["spec"]["scaleTargetRef"]["name"] = "other"
    release = read_manifest(write(tmp_path, SETTINGS, DEPLOYMENT, HPA, other), namespace="shop")
    assert release.name == "web"
    assert release.deployment["metadata"]["namespace"] == "shop"
    assert release.hpa is not None
    assert release.hpa["metadata"] == {"name": "web", "namespace": "shop"}
    assert release.companions == (SETTINGS, other)
    assert release.source == f"{tmp_path / 'm.yaml'}:8:1"
    assert wanted_replicas(release.deployment) == 3
    assert wanted_replicas(changed(spec__replicas=None)) == 1


def test_one_of_several_comes_alone() -> None:
    release = read_manifest(SOCK_SHOP, namespace="sock-shop", deployment="front-end")
    assert release.name == "front-end"
    assert (release.hpa, release.companions) == (None, ())
    assert release.source == f"{SOCK_SHOP}:251:1"
    error = refusal(SOCK_SHOP, namespace="sock-shop")
    assert "there are 14 Deployments" in str(error)
    assert f"Deployment front-end ({SOCK_SHOP}:251:1)" in str(error)
    assert "`deployment: carts` in theseus.yaml" in error.remedy
    error = refusal(SOCK_SHOP, deployment="frontend", namespace="sock-shop")
    assert str(error) == f"{SOCK_SHOP}: there is no Deployment frontend; it has front-end"
    error = refusal(SOCK_SHOP, deployment="front-end", namespace="staging")
    assert "255:14: metadata.namespace: Deployment front-end is for namespace sock-shop" in str(
        error
    )
    assert "namespace: sock-shop" in error.remedy


def test_bookinfos_own_manifests() -> None:
    release = read_manifest(BOOKINFO / "bookinfo-reviews-v2.yaml", namespace="bookinfo")
    assert release.name == "reviews-v2"
    kinds = {path.name: "Deployment" in path.read_text() for path in BOOKINFO.glob("*.yaml")}
    for name, has_deployment in kinds.items():
        if not has_deployment:
            message = str(refusal(BOOKINFO / name))
            assert "there is no Deployment; it has " in message


def test_folders_lists_json_and_empty_documents(tmp_path: Path) -> None:
    folder = tmp_path / "k8s"
    folder.mkdir()
    listed = {"apiVersion": "v1", "kind": "List", "items": [SETTINGS, HPA]}
    (folder / "a.json").write_text(json.dumps(listed))
    (folder / "b.yml").write_text("---\n# nothing\n---\n" + yaml.safe_dump(DEPLOYMENT) + "---\n")
    (folder / "notes.txt").write_text("not: [a manifest")
    release = read_manifest(folder, namespace="shop")
    assert release.companions == (SETTINGS,)
    assert release.hpa is not None
    assert release.source == f"{folder / 'b.yml'}:4:1"
    (folder / "c.yaml").write_text(yaml.safe_dump(HPA))
    assert "HorizontalPodAutoscaler web is here again, after" in str(refusal(folder))


def test_the_standard_input_in_yaml_and_json(monkeypatch: pytest.MonkeyPatch) -> None:
    flow_style = yaml.safe_dump(DEPLOYMENT, default_flow_style=True)
    for text in (yaml.safe_dump(DEPLOYMENT), json.dumps(DEPLOYMENT, indent="\t"), flow_style):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
        release = read_manifest("-", namespace="shop")
        assert release.source.startswith("<stdin>:1:1")
        assert release.name == "web"


def test_an_export_loses_what_the_server_wrote(tmp_path: Path) -> None:
    exported = changed(status={"replicas": 3})
    exported["metadata"].update(
        uid="1",
        resourceVersion="2",
        generation=3,
        creationTimestamp="2024-01-01T00:00:00Z",
        managedFields=[],
        annotations={"deployment.kubernetes.io/revision": "4"},
    )
    release = read_manifest(write(tmp_path, exported), namespace="shop")
    assert release.deployment == changed(metadata__namespace="shop")


def test_aliases_become_values_of_their_own(tmp_path: Path) -> None:
    labels = {"app": "web"}
    deployment = changed()
    deployment["spec"]["selector"]["matchLabels"] = labels
    deployment["spec"]["template"]["metadata"]["labels"] = labels
    path = write(tmp_path, deployment)
    assert "*id001" in path.read_text()
    release = read_manifest(path, namespace="shop")
    release.deployment["spec"]["template"]["metadata"]["labels"]["x"] = "y"
    assert release.deployment["spec"]["selector"]["matchLabels"] == {"app": "web"}


def test_the_candidate_is_named_after_its_version(tmp_path: Path) -> None:
    release = read_manifest(write(tmp_path, DEPLOYMENT, HPA, SETTINGS), namespace="shop")
    before = copy.deepcopy(release)
    renamed = rename(release, "1.4.2+Build 7")
    assert release == before
    deployment = renamed.deployment
    assert renamed.name == "web-1.4.2-build-7"
    for labels in (
        deployment["metadata"]["labels"],
        deployment["spec"]["selector"]["matchLabels"],
        deployment["spec"]["template"]["metadata"]["labels"],
    ):
        assert labels == {"app": "web", "version": "1.4.2-Build-7"}
    assert renamed.hpa is not None
    assert renamed.hpa["metadata"]["name"] == "web-1.4.2-build-7"
    assert renamed.hpa["spec"]["scaleTargetRef"]["name"] == renamed.name
    assert renamed.companions == release.companions
    assert descends(renamed.deployment, release)
    assert descends(release.deployment, release)
    assert not descends(changed(metadata__name="web-admin"), release)


def test_a_version_that_the_manifest_has_already() -> None:
    release = read_manifest(BOOKINFO / "bookinfo-reviews-v2.yaml", namespace="bookinfo")
    same = rename(release, "v2")
    assert same.deployment == release.deployment
    with pytest.raises(ManifestError, match=r"metadata\.labels\.version is 'v2'") as caught:
        rename(release, "v3")
    assert "make them the same" in caught.value.remedy


def test_labels_that_are_there_but_empty(tmp_path: Path) -> None:
    path = tmp_path / "m.yaml"
    path.write_text(yaml.safe_dump(DEPLOYMENT).replace("  labels:\n    app: web\n", "  labels:\n"))
    renamed = rename(read_manifest(path, namespace="shop"), "2")
    assert renamed.deployment["metadata"]["labels"] == {"version": "2"}


@pytest.mark.parametrize(
    ("version", "words"),
    [("…", "nothing can be named"), ("v" * 64, "a label holds 63"), ("v" * 60, "63 are allowed")],
)
def test_versions_that_give_no_name(tmp_path: Path, version: str, words: str) -> None:
    release = read_manifest(write(tmp_path, DEPLOYMENT), namespace="shop")
    with pytest.raises(ManifestError, match=words):
        rename(release, version)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"apiVersion": "extensions/v1beta1"}, "extensions/v1beta1 is gone since Kubernetes 1.16"),
        ({"apiVersion": None}, "document 1: has no apiVersion"),
        ({"kind": None}, "document 1: has no kind"),
        ({"metadata__name": None}, "the Deployment has no metadata.name"),
        ({"metadata__name": "{{ .Release.Name }}"}, "is a template's"),
        ({"metadata__name": "Web"}, "metadata.name: 'Web' must be of a-z"),
        ({"metadata__namespace": "other"}, "is for namespace other, and the release is in shop"),
        ({"spec": None}, "needs spec.template.spec"),
        ({"spec__template__spec__containers": None}, "needs a list of containers"),
        ({"spec__template__spec__containers": [{"name": "web"}]}, "container web has no image"),
        (
            {"spec__template__spec__containers": [{"name": "a", "image": "a:${TAG}"}]},
            "spec.template.spec.containers[0].image: Deployment web: the image 'a:${TAG}' still",
        ),
        ({"spec__replicas": "3"}, "spec.replicas: Deployment web: must be a whole number"),
        ({"spec__replicas": -1}, "must be a whole number, not -1"),
        ({"spec__selector": None}, "needs spec.selector"),
        ({"spec__selector__matchLabels": {"app": "api"}}, "selects app=api, which the template's"),
        ({"spec__template__metadata__labels": None}, "needs spec.template.metadata.labels"),
        ({"spec__template__metadata__labels": {"app": 2}}, "must be text: write it in quotes (2)"),
    ],
)
def test_deployments_that_cannot_be_released(
    tmp_path: Path, change: dict[str, Any], words: str
) -> None:
    path = write(tmp_path, changed(**change))
    error = refusal(path)
    assert words in str(error)
    assert str(error).startswith(f"{path}:")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: b\n---\nkind: X\n", "m.yaml:1:1: document 1: has no apiVersion"),
        ("", "there is no Deployment; it has no object at all"),
        ("- 1\n", "is no Kubernetes object"),
        ("# x\n---\n# y\n---\nkind: [\n", "m.yaml:6:1: document 2: did not find expected node"),
        ("a: 1\n---\nb: 2\n---\nc:\n\td: 1\n", "m.yaml:6:1: document 3: a tab"),
        ("a: 1\na: 2\n", "m.yaml:2:1: the key 'a' is here again"),
    ],
)
def test_text_that_is_no_manifest(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "m.yaml").write_text(text)
    assert words in str(refusal(tmp_path / "m.yaml"))


def test_templates_are_recognised(tmp_path: Path) -> None:
    text = yaml.safe_dump(DEPLOYMENT).replace("replicas: 3", "replicas: {{ .Values.replicas }}")
    (tmp_path / "m.yaml").write_text(text)
    assert "helm template" in refusal(tmp_path / "m.yaml").remedy
    (tmp_path / "kustomization.yaml").write_text("resources: [m.yaml]\n")
    error = refusal(tmp_path)
    assert "a kustomization is not a manifest" in str(error)
    assert "kubectl kustomize" in error.remedy


def test_paths_that_hold_nothing(tmp_path: Path) -> None:
    assert "does not exist" in str(refusal(tmp_path / "absent.yaml"))
    assert "holds no *.yaml" in str(refusal(tmp_path))
    (tmp_path / "m.json").write_text("{]")
    assert "m.json:1:2: is not JSON" in str(refusal(tmp_path))


def test_autoscalers_that_do_not_fit(tmp_path: Path) -> None:
    second = copy.deepcopy(HPA)
    second["metadata"]["name"] = "web-2"
    path = write(tmp_path, DEPLOYMENT, HPA, second)
    assert "a second HorizontalPodAutoscaler for Deployment web" in str(refusal(path))
    gone = {**copy.deepcopy(HPA), "apiVersion": "autoscaling/v2beta2"}
    assert "is gone since Kubernetes 1.26" in str(refusal(write(tmp_path, DEPLOYMENT, gone)))
    elsewhere = copy.deepcopy(HPA)
    elsewhere["metadata"]["namespace"] = "other"
    assert "is for namespace other" in str(refusal(write(tmp_path, DEPLOYMENT, elsewhere)))


@given(version=st.text(st.characters(min_codepoint=32, max_codepoint=0x17F), max_size=40))
@settings(deadline=None)
def test_every_version_gives_valid_names_or_an_error(version: str) -> None:
    release = Release(deployment=changed(), hpa=copy.deepcopy(HPA), source="m.yaml:1:1")
    try:
        renamed = rename(release, version)
    except ManifestError:
        assert not any(c.isascii() and c.isalnum() for c in version)
        return
    label = renamed.deployment["metadata"]["labels"]["version"]
    assert label == label_value(label)
    assert renamed.name == f"web-{name_suffix(version)}"
    assert len(renamed.name) <= 63
    assert renamed.name.replace("-", "").replace(".", "").isalnum()
    assert rename(renamed, version).deployment == renamed.deployment


def test_a_version_without_a_name_is_refused_when_the_manifest_is_read(tmp_path: Path) -> None:
    path = write(tmp_path, DEPLOYMENT)
    assert read_manifest(path, namespace="shop", version="1.4.2").name == "web"
    assert "nothing can be named after" in str(refusal(path, version="…"))
