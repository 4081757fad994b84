"""AWS CloudFormation templates, as far as projects need them: those of Lookout for Vision and of Custom Labels."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from vigia_client.provisioning.documents import Document, FileError, Path, Problem

#: Types of resources, and what Vigia's own documents call them.
_TYPES: Final = {"AWS::LookoutVision::Project": "projects", "AWS::Rekognition::Project": "label_projects"}
_KNOWN: Final = frozenset({"Type", "Properties", "DeletionPolicy", "UpdateReplacePolicy", "DependsOn", "Metadata"})
_VARIABLE: Final = re.compile(r"\$\{(?P<name>[^}]*)\}")


def is_template(document: Document) -> bool:
    """Whether a document is a template and not one of Vigia's own."""
    value = document.value
    return isinstance(value, dict) and ("Resources" in value or "AWSTemplateFormatVersion" in value)


def project_names(
    document: Document, parameters: Mapping[str, str], region: str
) -> tuple[list[tuple[str, str, Path]], list[Problem]]:
    """Of its projects the kind, the name and where each stands; and what is left alone because it is no project;
    FileError."""
    resources = document.value.get("Resources")
    if not isinstance(resources, dict):
        raise FileError([document.problem(("Resources",), "Resources: not a mapping")])
    values = _parameters(document, parameters) | {"AWS::Region": region}
    names: list[tuple[str, str, Path]] = []
    left: list[Problem] = []
    problems: list[Problem] = []
    for logical, resource in resources.items():
        path: Path = ("Resources", logical)
        stated = resource.get("Type") if isinstance(resource, dict) else None
        kind = _TYPES.get(stated) if isinstance(stated, str) else None
        if kind is None:
            left.append(document.problem(path, f"{logical} of type {stated} is left alone: only projects are made"))
            continue
        try:
            names.append((kind, _name(document, path, resource, values), path))
        except FileError as error:
            problems += error.problems
    if problems:
        raise FileError(problems)
    return names, left


def _name(document: Document, path: Path, resource: dict[str, Any], values: Mapping[str, str]) -> str:
    if unknown := sorted(set(resource) - _KNOWN):
        problem = document.problem((*path, unknown[0]), f"{path[-1]}: {unknown[0]} is not understood")
        raise FileError([problem])
    properties = resource.get("Properties")
    if not isinstance(properties, dict) or "ProjectName" not in properties:
        raise FileError([document.problem(path, f"{path[-1]}: ProjectName is missing")])
    if unknown := sorted(set(properties) - {"ProjectName"}):
        where = (*path, "Properties", unknown[0])
        raise FileError([document.problem(where, f"{path[-1]}: unknown property {unknown[0]}")])
    where = (*path, "Properties", "ProjectName")
    try:
        return _text(properties["ProjectName"], values)
    except ValueError as error:
        raise FileError([document.problem(where, f"{path[-1]}: ProjectName: {error}")]) from error


def _text(value: Any, values: Mapping[str, str]) -> str:
    """The text that a value stands for; ValueError for what is not understood."""
    if isinstance(value, str):
        return value
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    if isinstance(value, dict) and len(value) == 1:
        [(function, given)] = value.items()
        if function == "Ref" and isinstance(given, str):
            return _value(given, values)
        if function == "Fn::Sub" and isinstance(given, str):
            return _substitute(given, values)
        if function == "Fn::Sub" and isinstance(given, list) and len(given) == 2 and isinstance(given[1], dict):
            own = {name: _text(item, values) for name, item in given[1].items()}
            return _substitute(str(given[0]), {**values, **own})
        if function == "Fn::Join" and isinstance(given, list) and len(given) == 2 and isinstance(given[1], list):
            return str(given[0]).join(_text(item, values) for item in given[1])
        raise ValueError(f"{function} is not understood; Ref, Fn::Sub and Fn::Join are")
    raise ValueError("not a text")


def _substitute(text: str, values: Mapping[str, str]) -> str:
    def replaced(match: re.Match[str]) -> str:
        name = match["name"]
        return f"${{{name[1:]}}}" if name.startswith("!") else _value(name.strip(), values)

    return _VARIABLE.sub(replaced, text)


def _value(name: str, values: Mapping[str, str]) -> str:
    if name not in values:
        raise ValueError(f"{name} has no value; give it with --parameter {name}=VALUE")
    return values[name]


def _parameters(document: Document, given: Mapping[str, str]) -> dict[str, str]:
    """Values of the template's parameters; those of ``given`` before its defaults."""
    declared = document.value.get("Parameters") or {}
    if not isinstance(declared, dict):
        raise FileError([document.problem(("Parameters",), "Parameters: not a mapping")])
    defaults = {
        name: str(about["Default"])
        for name, about in declared.items()
        if isinstance(about, dict) and isinstance(about.get("Default"), str | int | float)
    }
    return defaults | {name: value for name, value in given.items() if name in declared}
