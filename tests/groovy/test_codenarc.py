"""CodeNarc's rules for Jenkins pipelines, over the library and every Jenkinsfile.

Its semantic rules say nothing about a file whose imports they cannot resolve. So each file is also
looked at with a fault planted in it, which must be found.
"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from xml.etree import ElementTree

from tests.groovy.maven import HERE
from tests.groovy.maven import maven as run_maven

ROOT = HERE.parents[1]
BAD = HERE / "codenarc" / "bad" / "Planted.groovy"
RULES = re.findall(r"'(\w+)'", (HERE / "codenarc" / "rules.groovy").read_text(encoding="utf-8"))
PLANTED = """
@com.cloudbees.groovy.cps.NonCPS
String planted() {
    return transformed()
}

String transformed() {
    return 'x'
}
"""
STAND_INS = HERE / "src" / "test" / "java"


def test_no_violation(maven: str, tmp_path: Path) -> None:
    del maven
    sources = tmp_path / "sources"
    files = {f"{path.stem}.groovy": path for path in sorted((ROOT / "vars").glob("*.groovy"))}
    pipelines = [
        ROOT / "Jenkinsfile",
        *sorted((ROOT / "examples" / "jenkins").glob("Jenkinsfile*")),
    ]
    files |= {f"{path.name.replace('.', '_')}.groovy": path for path in pipelines}
    for kind in ("as_it_is", "planted"):
        (sources / kind).mkdir(parents=True)
    for name, path in files.items():
        text = path.read_text(encoding="utf-8")
        known = re.sub(r"^@Library", "import theseus.cps.Library; @Library", text)
        (sources / "as_it_is" / name).write_text(known, encoding="utf-8")
        (sources / "planted" / name).write_text(known + PLANTED, encoding="utf-8")
    (sources / BAD.name).write_bytes(BAD.read_bytes())

    found = violations(sources, tmp_path)

    assert {(rule, name) for folder, name, rule in found if folder == "as_it_is"} == set()
    planted = {name for folder, name, rule in found if folder == "planted"}
    assert planted == set(files)
    assert {rule for _, name, rule in found if name == BAD.name} == set(RULES)
    assert len(RULES) == 7


def violations(sources: Path, folder: Path) -> list[tuple[str, str, str]]:
    """Folder, file and broken rule."""
    classes = folder / "classes"
    library = STAND_INS / "theseus" / "cps" / "Library.java"
    used = [*(STAND_INS / "org").rglob("*.java"), *(STAND_INS / "jenkins").rglob("*.java")]
    used += [*(STAND_INS / "hudson").rglob("*.java"), library]
    subprocess.run(["javac", "-d", classes, *used], check=True, timeout=120)
    report = folder / "report.xml"
    run_maven(
        HERE / "codenarc",
        "validate",
        build=folder / "build",
        classes=classes,
        sources=sources,
        report=report,
    )
    return [
        (package.get("path", ""), file.get("name", ""), violation.get("ruleName", ""))
        for package in ElementTree.parse(report).iter("Package")
        for file in package.findall("File")
        for violation in file.findall("Violation")
    ]
