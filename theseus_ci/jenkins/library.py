"""The shared library's place in Jenkins' global configuration.

Jenkins' REST interface cannot set it: an administrator does, by hand or by Configuration as Code.
"""

from __future__ import annotations

import json

NAME = "theseus-ci"


def casc(repository: str, version: str, credentials: str = "") -> str:
    """The Configuration-as-Code snippet (YAML)."""
    lines = [
        "unclassified:",
        "  globalLibraries:",
        "    libraries:",
        f"      - name: {NAME}",
        f"        defaultVersion: {json.dumps(version)}",
        "        implicit: false",
        "        allowVersionOverride: true",
        "        includeInChangesets: false",
        "        retriever:",
        "          modernSCM:",
        "            scm:",
        "              git:",
        f"                remote: {json.dumps(repository, ensure_ascii=False)}",
    ]
    if credentials:
        lines.append(f"                credentialsId: {json.dumps(credentials)}")
    return "\n".join(lines) + "\n"


def steps(repository: str, version: str, credentials: str = "") -> str:
    """The same for a person with a browser."""
    return f"""\
Manage Jenkins, System, Global Trusted Pipeline Libraries, Add:
  Name                           {NAME}
  Default version                {version}
  Load implicitly                no
  Allow default version to be overridden  yes
  Retrieval method               Modern SCM, Git
  Project repository             {repository}
  Credentials                    {credentials or "- none -"}
"""
