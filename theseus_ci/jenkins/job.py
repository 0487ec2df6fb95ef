"""The config.xml of a pipeline job that takes its Jenkinsfile from Git.

An existing job keeps whatever we do not manage (triggers, build discarder, other parameters, what
plugins add); Jenkins itself rewrites a config.xml when it saves it. So a job is compared by what
it means: our values put into what is there, and no difference is nothing to do.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from xml.etree.ElementTree import Element, ParseError, SubElement, TreeBuilder, indent, tostring
from xml.parsers import expat

from theseus_ci.errors import UsageError
from theseus_ci.jenkins.errors import NotJenkins

PIPELINE = "flow-definition"
FROM_SCM = "org.jenkinsci.plugins.workflow.cps.CpsScmFlowDefinition"
GIT = "hudson.plugins.git.GitSCM"
_PARAMETERS = "hudson.model.ParametersDefinitionProperty"
_HEADER = "<?xml version='1.1' encoding='UTF-8'?>\n"  # as Jenkins writes it
_SECRET = re.compile(r"(?<=://)[^/@\s<]+(?=@)|(?<=<authToken>)[^<]+")
_DECLARATION = re.compile(r"^\s*<\?xml[^>]*\?>")
FOLDER = f"""{_HEADER}<com.cloudbees.hudson.plugins.folder.Folder>
  <properties/>
  <folderViews class="com.cloudbees.hudson.plugins.folder.views.DefaultFolderViewHolder">
    <views>
      <hudson.model.AllView>
        <name>All</name>
        <filterExecutors>false</filterExecutors>
        <filterQueue>false</filterQueue>
        <properties class="hudson.model.View$PropertyList"/>
      </hudson.model.AllView>
    </views>
    <tabBar class="hudson.views.DefaultViewsTabBar"/>
  </folderViews>
  <healthMetrics/>
</com.cloudbees.hudson.plugins.folder.Folder>
"""


@dataclass(frozen=True)
class Parameter:
    """A parameter people may set when they start a build."""

    name: str
    kind: str  # String, Boolean, Choice
    values: tuple[str, ...]  # the default; of a Choice all, the default first


@dataclass(frozen=True)
class PipelineJob:
    """What we want of a job."""

    repository: str
    branch: str
    script: str
    credentials: str = ""  # id of the credentials that may read the repository
    description: str | None = None  # None: as it is
    parameters: tuple[Parameter, ...] = ()

    @property
    def branch_spec(self) -> str:
        """The branch as Jenkins' Git plugin names it."""
        plain = not re.match(r"refs/|\*|:|\$", self.branch)
        return f"*/{self.branch}" if plain else self.branch


def applied(job: PipelineJob, existing: str | None) -> str:
    """config.xml with our values in it: the existing one's, or a new one.

    Raises UsageError when what exists is no pipeline job, NotJenkins when it is no XML.
    """
    root = parsed(existing) if existing is not None else Element(PIPELINE)
    if root.tag != PIPELINE:
        raise UsageError(
            f"the job exists and is no pipeline but a {root.tag}",
            remedy="choose another name, or delete it in Jenkins",
        )
    if existing is None:
        _set(root, "description", job.description or "")
        _set(root, "keepDependencies", "false")
        SubElement(root, "properties")
    elif job.description is not None:
        _set(root, "description", job.description)
    for parameter in job.parameters:
        _put_parameter(root, parameter)
    _put_definition(root, job)
    if existing is None:
        SubElement(root, "triggers")
        _set(root, "disabled", "false")
    return pretty(root)


def difference(before: str | None, after: str, name: str) -> str:
    """A unified diff for people, without passwords in URLs; "" when both mean the same."""
    old = pretty(parsed(before)) if before is not None else ""
    lines = difflib.unified_diff(
        old.splitlines(),
        after.splitlines(),
        f"{name}/config.xml (Jenkins)" if before is not None else "/dev/null",
        f"{name}/config.xml (wanted)",
        lineterm="",
    )
    return "\n".join(_SECRET.sub("***", line) for line in lines)


def parsed(xml: str) -> Element:
    """The document; Jenkins declares XML 1.1, which expat does not take, so we drop that line.

    Raises NotJenkins for what is no XML, or declares a document type.
    """
    builder = TreeBuilder()
    parser = expat.ParserCreate()
    parser.StartElementHandler = builder.start
    parser.EndElementHandler = builder.end
    parser.CharacterDataHandler = builder.data
    parser.StartDoctypeDeclHandler = _no_doctype
    try:
        parser.Parse(_DECLARATION.sub("", xml), True)
        return builder.close()
    except (expat.ExpatError, ParseError, AssertionError) as error:
        raise NotJenkins(f"the job's config.xml cannot be read: {error}") from None


def _no_doctype(*_: object) -> None:
    raise NotJenkins("the job's config.xml declares a document type: Jenkins does not")


def pretty(root: Element) -> str:
    """Jenkins' own layout: two spaces, one element a line."""
    indent(root)
    return _HEADER + tostring(root, encoding="unicode") + "\n"


def _put_definition(root: Element, job: PipelineJob) -> None:
    definition = _of_class(root, "definition", FROM_SCM)
    scm = _of_class(definition, "scm", GIT)
    if scm.find("configVersion") is None:
        _set(scm, "configVersion", "2")
    remotes = _child(scm, "userRemoteConfigs")
    remote = _child(remotes, "hudson.plugins.git.UserRemoteConfig")
    _only(remotes, remote)
    _set(remote, "url", job.repository)
    if job.credentials:
        _set(remote, "credentialsId", job.credentials)
    else:
        _remove(remote, "credentialsId")
    branches = _child(scm, "branches")
    branch = _child(branches, "hudson.plugins.git.BranchSpec")
    _only(branches, branch)
    _set(branch, "name", job.branch_spec)
    _set(definition, "scriptPath", job.script)
    if definition.find("lightweight") is None:
        _set(definition, "lightweight", "true")


def _put_parameter(root: Element, parameter: Parameter) -> None:
    """Add the parameter, or give the one of that name our default; its description stays."""
    definitions = _child(_child(_child(root, "properties"), _PARAMETERS), "parameterDefinitions")
    tag = f"hudson.model.{parameter.kind}ParameterDefinition"
    found = next((one for one in definitions if one.findtext("name") == parameter.name), None)
    if found is not None and found.tag != tag:
        definitions.remove(found)
        found = None
    if found is None:
        found = SubElement(definitions, tag)
        _set(found, "name", parameter.name)
    if parameter.kind != "Choice":
        _set(found, "defaultValue", parameter.values[0])
        return
    if tuple(one.text or "" for one in found.iterfind("choices//string")) == parameter.values:
        return
    _remove(found, "choices")
    choices = SubElement(found, "choices", {"class": "java.util.Arrays$ArrayList"})
    array = SubElement(choices, "a", {"class": "string-array"})
    for value in parameter.values:
        SubElement(array, "string").text = value


def _of_class(parent: Element, tag: str, name: str) -> Element:
    """The child of this class; one of another class is replaced, since its content is alien."""
    found = parent.find(tag)
    if found is None:
        found = SubElement(parent, tag)
    if found.get("class") != name:
        found.clear()
        found.set("class", name)
    return found


def _child(parent: Element, tag: str) -> Element:
    found = parent.find(tag)
    return SubElement(parent, tag) if found is None else found


def _only(parent: Element, child: Element) -> None:
    for other in list(parent):
        if other is not child:
            parent.remove(other)


def _set(parent: Element, tag: str, text: str) -> None:
    _child(parent, tag).text = text or None


def _remove(parent: Element, tag: str) -> None:
    for found in parent.findall(tag):
        parent.remove(found)
