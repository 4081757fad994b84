"""The rules of the house as functions over files, so that each can be shown a bad example."""

from __future__ import annotations

import ast
import importlib.metadata
import re
import sys
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SERVICES = ("registry", "training", "detection", "ingestion", "aggregator")
SHARED = ("contracts", "runtime", "vision", "stack", "client")

#: What each shared package may know of the others. Anything not listed is forbidden.
MAY_IMPORT: dict[str, frozenset[str]] = {
    "contracts": frozenset(),
    "vision": frozenset(),
    "runtime": frozenset({"contracts"}),
    "stack": frozenset({"contracts", "runtime", "client"}),
    "client": frozenset({"contracts", "vision"}),
    **{name: frozenset({"contracts", "runtime", "vision"}) for name in SERVICES},
}
#: torch weighs gigabytes and belongs where models are made.
HEAVY = frozenset({"torch", "torchvision", "timm"})
#: A domain folder decides; it neither reads nor writes. These are what it may use besides the standard library.
DOMAIN_MAY_USE = frozenset({"pydantic", "numpy", "vigia_contracts", "vigia_vision"})
_IO = frozenset({"socket", "asyncio", "subprocess", "urllib", "http", "ssl", "sqlite3", "shutil", "threading"})

_MACHINE_PATH = re.compile(r"(?:^|[\"'\s=:(])/(?:work|root|home/[a-z]+)/")
_REGISTRY_HOST = re.compile(
    "|".join(
        re.escape(part.replace("|", ""))
        for part in (
            "files.python|hosted.org",
            "pypi|.org/simple",
            "registry.npm|js.org",
            "repo1.maven|.org",
            "repo.maven|.apache.org",
            "proxy.golang|.org",
            "deb.debian|.org",
            "index.cra|tes.io",
        )
    )
)


def imports(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """(line, top-level module) of every import, wherever in the file it stands."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name.split(".")[0]
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.lineno, node.module.split(".")[0]


def member_of(path: Path, root: Path = ROOT) -> str | None:
    """The workspace member that a source file belongs to, or None."""
    parts = path.relative_to(root).parts
    return parts[1] if len(parts) > 2 and parts[0] in {"services", "shared"} else None


def import_problems(path: Path, source: str, root: Path = ROOT) -> list[str]:
    """Imports in a product file that its place does not allow."""
    member = member_of(path, root)
    if member is None or member not in MAY_IMPORT:
        return []
    parts = path.relative_to(root).parts
    in_domain = "domain" in parts or path.name == "domain.py"
    problems = []
    for line, module in imports(ast.parse(source)):
        where = f"{path.relative_to(root)}:{line}"
        if module.startswith("vigia_"):
            other = module.removeprefix("vigia_")
            if other != member and other not in MAY_IMPORT[member]:
                problems.append(f"{where}: {member} imports {module}")
        if module in HEAVY and member != "training":
            problems.append(f"{where}: {module} outside training")
        if in_domain and module in _IO:
            problems.append(f"{where}: a domain does I/O through {module}")
    return problems


def text_problems(name: str, text: str) -> list[str]:
    """Machine paths and registry addresses, which would break the project elsewhere."""
    problems = []
    for number, line in enumerate(text.splitlines(), 1):
        if _MACHINE_PATH.search(line):
            problems.append(f"{name}:{number}: a path of one machine")
        if _REGISTRY_HOST.search(line):
            problems.append(f"{name}:{number}: the address of a package registry")
    return problems


def member_config_problems(path: Path) -> list[str]:
    """Tool sections in a member: tools are configured once, at the root."""
    tools = tomllib.loads(path.read_text()).get("tool", {})
    return [f"{path.parent.name}: [tool.{name}] belongs to the root" for name in tools if name != "hatch"]


def closure(member: str, root: Path = ROOT) -> set[str]:
    """Names of all requirements that a member declares, through other members too."""
    found: set[str] = set()
    todo = [member]
    while todo:
        name = todo.pop()
        folder = root / ("services" if name in SERVICES else "shared") / name
        for requirement in tomllib.loads((folder / "pyproject.toml").read_text())["project"]["dependencies"]:
            package = re.split(r"[\[<>=!~; ]", requirement, maxsplit=1)[0]
            if package not in found:
                found.add(package)
                if package.startswith("vigia-"):
                    todo.append(package.removeprefix("vigia-"))
    return found


def sources(root: Path = ROOT) -> Iterable[Path]:
    """Every product source file."""
    return sorted([*root.glob("services/*/src/**/*.py"), *root.glob("shared/*/src/**/*.py")])


def declared(member: str, root: Path = ROOT) -> set[str]:
    """Distributions that a member may import: those it names, and those that its members name for it."""
    return {_normal(name) for name in closure(member, root)} | {f"vigia-{member}"}


def undeclared(member: str, root: Path = ROOT) -> list[str]:
    """Third-party imports of a member that its own requirements do not bring: its image would not start."""
    distributions = importlib.metadata.packages_distributions()
    allowed = declared(member, root)
    folder = root / ("services" if member in SERVICES else "shared") / member / "src"
    problems = []
    for path in sorted(folder.rglob("*.py")):
        for line, module in imports(ast.parse(path.read_text())):
            owners = {_normal(name) for name in distributions.get(module, [])}
            if module not in sys.stdlib_module_names and owners and not owners & allowed:
                problems.append(f"{path.relative_to(root)}:{line}: {module} of {', '.join(sorted(owners))}")
    return problems


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
