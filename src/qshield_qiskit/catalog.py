"""Names to files: the circuits, backends and experiments that ship with the package, and the user's own.

A name is looked for in three places and the last one that knows it wins: what ships with the package, the
checkout around the working directory, the working directory itself. So `./circuits/mine.py` is found as
`mine`, and `./circuits/full.py` replaces ours. Listing reads files without running them; loading runs the
one asked for.
"""

from __future__ import annotations

import ast
import difflib
import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

from qshield_qiskit.errors import InputError, unknown
from qshield_qiskit.modules import first_line, load_module, raised_by

if TYPE_CHECKING:
    from qshield_qiskit.devices.backend import Backend
    from qshield_qiskit.quantum.template import CircuitTemplate

Origin = Literal["shipped", "checkout", "here"]

SUFFIXES = {"circuits": ".py", "backends": ".py", "experiments": ".yaml"}
"""The kinds, each a folder of that name, and what its files end in."""

FAMILIES = {
    "fake_": "An IBM device's snapshot, such as fake_torino, on its best qubits, by runtime primitives in local mode.",
    "ibm_": "An IBM device, such as ibm_torino, by the job ledger; ibm_runtime is the least busy one.",
}
"""Beginnings of backends' names that no file stands for but a module of devices/, each with what they are."""

LEAST_BUSY = "ibm_runtime"
"""What stands for the least busy of IBM's devices."""

_PACKAGE = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Entry:
    """A name that can be typed, and the file behind it.

    Args:
        kind: "circuits", "backends" or "experiments".
        name: The file's name without its ending, after its folder if it lies in one (`paper/digits`).
        path: The file.
        summary: First line of its docstring, or of a YAML file's leading comment.
        origin: "shipped" with the package, in the "checkout", or "here" in the working directory.
    """

    kind: str
    name: str
    path: Path
    summary: str
    origin: Origin


def find(kind: str) -> dict[str, Entry]:
    """List every name of a kind, sorted; no file is run.

    Args:
        kind: "circuits", "backends" or "experiments".
    """
    suffix = SUFFIXES[kind]
    entries: dict[str, Entry] = {}
    for origin, folder in folders(kind):
        for path in sorted(folder.rglob(f"*{suffix}")):
            relative = path.relative_to(folder).with_suffix("")
            if path.is_file() and not any(part.startswith(("_", ".")) for part in relative.parts):
                name = relative.as_posix()
                entries[name] = Entry(kind, name, path, _summary(path), origin)
    return dict(sorted(entries.items()))


def entry(kind: str, name: str) -> Entry:
    """Look one name up; a path to a file of the right ending is taken as it stands.

    Raises:
        InputError: There is no such name.
    """
    suffix = SUFFIXES[kind]
    entries = find(kind)
    if name in entries:
        return entries[name]
    path = Path(name)
    if path.suffix == suffix:
        if not path.is_file():
            raise InputError(f"{path}: no such file; `qshield list {kind}` shows the names that are known")
        return Entry(kind, path.stem, path.resolve(), _summary(path), "here")
    raise unknown(kind.removesuffix("s"), name, [*entries, *families(kind)])


def load_circuit(name: str, num_qubits: int, **options: Any) -> CircuitTemplate:
    """Build the template of circuits/<name>.py.

    Args:
        name: A name that `find("circuits")` lists, or a path to a Python file.
        num_qubits: Number of qubits.
        options: Whatever else the file's `build` declares, such as reps or encoding.

    Raises:
        InputError: No such name, a file that does not load, an option that its `build` does not declare, or whatever
            its `build` raises.
    """
    template = _build(entry("circuits", name), num_qubits, options, gives=("circuit", "inputs", "weights"))
    return cast("CircuitTemplate", template)


def load_backend(name: str, num_qubits: int, **options: Any) -> Backend:
    """Build the backend of backends/<name>.py, or of a device for a name like `fake_torino` or `ibm_torino`.

    Args:
        name: A name that `find("backends")` lists, `fake_<device>`, `ibm_<device>`, or a path to a Python file.
        num_qubits: Number of qubits.
        options: Whatever else the backend's `build` declares, such as calibration or p.

    Raises:
        InputError: As for `load_circuit`.
    """
    prefix = _family(name)
    if prefix is not None:
        family = import_module(f"qshield_qiskit.devices.{prefix.rstrip('_')}")
        _check_options(family.build, options, f"backend {name}", leading=2)
        backend = _called(
            family.build, Path(family.__file__ or ""), name.removeprefix(prefix), num_qubits, **options
        )
    else:
        backend = _build(entry("backends", name), num_qubits, options, gives=("transpile", "noise_model"))
    # How to make it again, for whoever saves a model; backends are frozen, and one's own may be of any class.
    try:
        object.__setattr__(backend, "source", {"name": name, "num_qubits": num_qubits, "options": options})
    except AttributeError:
        raise InputError(
            f"backend {name}: build returned a {type(backend).__name__}, which has no room for an attribute "
            "'source'; add it to its __slots__"
        ) from None
    return cast("Backend", backend)


def is_hardware(backend: object) -> bool:
    """Say whether a backend is a device of IBM's, where time costs money, by whatever file it was built."""
    return bool(getattr(backend, "is_hardware", False))


def names_hardware(name: str, num_qubits: int, **options: Any) -> bool:
    """Say whether a name gives such a device; a file is loaded for that, but IBM's service is not asked.

    Args:
        name: As for `load_backend`, and so are the others.
        num_qubits: Number of qubits.
        options: Whatever else the backend's `build` declares.

    Raises:
        InputError: As for `load_backend`.
    """
    if _family(name):
        return asks_service(name)
    return is_hardware(load_backend(name, num_qubits, **options))


def asks_service(name: str) -> bool:
    """Say whether loading a backend of this name asks IBM's service, in the user's account."""
    return _family(name) == "ibm_"


def is_file(kind: str, name: str) -> bool:
    """Say whether a name is none of the catalog's but a path to a file, which loading would run."""
    return Path(name).suffix == SUFFIXES[kind] and name not in find(kind)


def declared_settings(kind: str, name: str) -> set[str] | None:
    """List what a file's `build` declares, read from its text and not executed; None where that cannot be told."""
    prefix = _family(name) if kind == "backends" else None
    try:
        module = f"{prefix.rstrip('_')}.py" if prefix else None
        path = _PACKAGE / "devices" / module if module else entry(kind, name).path
        tree = ast.parse(path.read_bytes())
    except (InputError, OSError, SyntaxError, ValueError):
        return None  # loading it will say what is wrong
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and node.name == "build" and node.args.kwarg is None:
            arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
            return {argument.arg for argument in arguments}
    return None


def _build(found: Entry, num_qubits: int, options: dict[str, Any], *, gives: tuple[str, ...]) -> object:
    """Call a file's `build` and check that what it returns has the attributes that we use."""
    build = getattr(load_module(found.path), "build", None)
    if not callable(build):
        raise InputError(f"{found.path}: has no function build(num_qubits, ...)")
    _check_options(build, options, str(found.path), leading=1)
    built = _called(build, found.path, num_qubits, **options)
    if not all(hasattr(built, attribute) for attribute in gives):
        expected = "CircuitTemplate" if found.kind == "circuits" else "Backend"
        raise InputError(f"{found.path}: build returned {type(built).__name__}, not a {expected}")
    return built


def _called(build: Callable[..., object], path: Path, *arguments: Any, **options: Any) -> object:
    """Call a file's `build`; whatever it raises is told in one line."""
    try:
        return build(*arguments, **options)
    except InputError:
        raise
    except Exception as error:
        raise raised_by(path, error) from error


def _check_options(build: Callable[..., Any], options: dict[str, Any], owner: str, *, leading: int) -> None:
    """Hold options to what `build` declares after its `leading` positional arguments."""
    parameters = list(inspect.signature(build).parameters.values())
    if not parameters:
        raise InputError(f"{owner}: build takes no arguments, but its first must be num_qubits")
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        return
    declared = [parameter.name for parameter in parameters[leading:]]
    for option in options:
        if option not in declared:
            near = difflib.get_close_matches(option, declared, n=1, cutoff=0.5)
            hint = f"; did you mean {near[0]}?" if near else ""
            known = ", ".join(declared) or "none"
            raise InputError(f"{owner}: build declares no setting {option!r}{hint} (known: {known})")
    required = {parameter.name for parameter in parameters[leading:] if parameter.default is parameter.empty}
    missing = sorted(required - set(options))
    if missing:
        raise InputError(f"{owner}: build needs a value for {', '.join(missing)}")


def folders(kind: str) -> Iterator[tuple[Origin, Path]]:
    """Give the folders of a kind, the one that wins last."""
    shipped = _PACKAGE / "shipped" / kind
    source = _PACKAGE.parents[1]
    if not any(shipped.rglob(f"*{SUFFIXES[kind]}")) and _is_checkout(source):
        shipped = source / kind  # an editable install: the source tree is what ships
    here = Path.cwd()
    checkout = next((folder for folder in (here, *here.parents) if _is_checkout(folder)), None)
    yield "shipped", shipped
    if checkout is not None:
        yield "checkout", checkout / kind
    if checkout != here:
        yield "here", here / kind


def _is_checkout(folder: Path) -> bool:
    return (folder / "src" / "qshield_qiskit" / "catalog.py").is_file()


def families(kind: str) -> dict[str, str]:
    """Give the patterns of names that no single file stands for, each with a line that says what they are."""
    return {f"{prefix}<device>": says for prefix, says in FAMILIES.items()} if kind == "backends" else {}


def _family(name: str) -> str | None:
    """Give the beginning of a backend's name if a family makes it, and no file does."""
    prefix = next((prefix for prefix in FAMILIES if name.startswith(prefix)), None)
    return prefix if prefix is not None and name not in find("backends") else None


def _summary(path: Path) -> str:
    """Read the first line that describes a file, without running it."""
    try:
        text = path.read_text(encoding="utf-8")
        if path.suffix == ".py":
            return (ast.get_docstring(ast.parse(text)) or "").split("\n", 1)[0]
    except (SyntaxError, ValueError, OSError) as error:
        return f"(cannot be read: {first_line(error)})"
    first = text.lstrip().split("\n", 1)[0]
    return first.lstrip("# ").rstrip() if first.startswith("#") else ""
