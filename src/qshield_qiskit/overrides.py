"""Settings as they are typed: `a.b=c` overrides, comma lists, YAML files, and what to say of a wrong one."""

from __future__ import annotations

import difflib
import itertools
import json
import re
from collections.abc import Iterator, Mapping, Sequence, Set
from pathlib import Path
from typing import Any, cast

import yaml
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from qshield_qiskit.errors import InputError

Tree = dict[str, Any]

_KEY = re.compile(r"\w+(\.\w+)*")

_BASE_60 = re.compile(r"[-+]?\d[\d_]*(:\d+)+(\.\d*)?")
"""What YAML 1.1 takes for a number of minutes and seconds; to us 1:5:5 is a curve."""

_EXPECTED = {
    "int": "a whole number",
    "float": "a number",
    "finite": "a finite number",
    "bool": "true or false",
    "string": "a text",
    "path": "a path",
    "list": "a list",
    "tuple": "a list",
    "dict": "a mapping",
}
"""What pydantic's error types of that first word ask for."""


def parse(dotted: Sequence[str], named: Set[str]) -> Tree:
    """Read overrides such as "training.epochs=5" into a tree; values are YAML.

    Args:
        dotted: The overrides; a later one wins.
        named: Sections whose bare name stands for their name setting: circuit=full is circuit.name=full.

    Raises:
        InputError: An override has no key, no equals sign or no YAML value.
    """
    full = []
    for override in dotted:
        key, equals, value = override.partition("=")
        if not equals or not _KEY.fullmatch(key):
            raise InputError(f"override {override!r}: expected key=value, such as training.epochs=5")
        value = json.dumps(value) if _BASE_60.fullmatch(value) else value
        full.append(f"{key}.name={value}" if key in named else f"{key}={value}")
    try:
        return _plain(OmegaConf.from_dotlist(full))
    except (yaml.YAMLError, OmegaConfBaseException) as error:
        raise InputError(f"overrides {' '.join(dotted)}: {_one_line(error)}") from error


def expand(dotted: Sequence[str]) -> list[list[str]]:
    """Turn commas outside brackets and quotes into separate lists of overrides, the last varying fastest.

    >>> expand(["seed=0,1", "circuit.readout=[ZI,IZ]"])
    [['seed=0', 'circuit.readout=[ZI,IZ]'], ['seed=1', 'circuit.readout=[ZI,IZ]']]
    """
    return [list(chosen) for chosen in itertools.product(*map(alternatives, dotted))]


def alternatives(override: str) -> list[str]:
    """Give an override once for each of the values that commas outside brackets and quotes separate.

    >>> alternatives("seed=0,1"), alternatives("circuit.readout=[ZI,IZ]")
    (['seed=0', 'seed=1'], ['circuit.readout=[ZI,IZ]'])
    """
    key, _, value = override.partition("=")
    parts = _split_at_commas(value)
    if len(parts) == 1:
        return [override]
    if not all(part.strip() for part in parts):
        raise InputError(f"override {override!r}: there is nothing between two commas")
    return [f"{key}={part}" for part in parts]


def read_yaml(path: Path, named: Set[str]) -> Tree:
    """Read a YAML file of settings; a named section may be given by its name alone, as in an override.

    Raises:
        InputError: The file cannot be read or is no mapping.
    """
    try:
        content = OmegaConf.load(path)
        tree = _plain(content) if OmegaConf.is_dict(content) else None
        written = yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.BaseLoader)
    except (OSError, UnicodeDecodeError, yaml.YAMLError, OmegaConfBaseException) as error:
        raise InputError(f"{path}: cannot be read as YAML: {_one_line(error)}") from error
    if tree is None:
        raise InputError(f"{path}: expected settings such as 'seed: 0', one a line, but it holds no mapping")
    return _in_full(_as_written(tree, written), named)


def _as_written(value: Any, text: Any) -> Any:
    """Take back what YAML made of numbers to the base of 60, given the same tree as it is written.

    Where it is written otherwise, by an alias or an interpolation, the value stays.
    """
    if isinstance(value, dict) and isinstance(text, dict):
        return {key: _as_written(below, text.get(str(key))) for key, below in value.items()}
    if isinstance(value, list) and isinstance(text, list):
        return [_as_written(*pair) for pair in zip(value, text, strict=True)]
    return text if isinstance(text, str) and _BASE_60.fullmatch(text) else value


def _in_full(tree: Tree, named: Set[str], prefix: str = "") -> Tree:
    """Write every section that is given by its name alone as a mapping."""
    full: Tree = {}
    for key, value in tree.items():
        place = f"{prefix}{key}"
        if isinstance(value, dict):
            full[key] = _in_full(value, named, f"{place}.")
        else:
            full[key] = {"name": value} if place in named and isinstance(value, str) else value
    return full


def merge(base: Tree, changes: Tree) -> Tree:
    """Lay changes over a tree, key by key; lists are replaced whole."""
    merged = dict(base)
    for key, value in changes.items():
        below = merged.get(key)
        merged[key] = merge(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
    return merged


def difference(base: Tree, other: Tree, prefix: str = "") -> list[str]:
    """List the overrides that turn one tree into another with the same keys.

    >>> difference({"a": {"b": 1, "c": 2}}, {"a": {"b": 1, "c": 3}})
    ['a.c=3']
    """
    found = []
    for key, value in other.items():
        before = base.get(key)
        if isinstance(value, dict) and isinstance(before, dict):
            found += difference(before, value, f"{prefix}{key}.")
        elif value != before:
            found.append(f"{prefix}{key}={_typed(value)}")
    return found


def _typed(value: Any) -> str:
    """Write a value so that it reads back as itself, and makes no axis."""
    if isinstance(value, str) and "," not in value and _value(value) == value:
        return value
    return json.dumps(value)


def _value(text: str) -> Any:
    """Read a value as YAML; None where it is none."""
    try:
        return parse([f"value={text}"], frozenset())["value"]
    except InputError:
        return None


def look_up(tree: Tree, key: str) -> Any:
    """Give the value at a dotted key, or None."""
    value: Any = tree
    for part in key.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value


def explain(error: ValidationError, model: type[BaseModel]) -> str:
    """Word everything that is wrong with a tree of settings in one line.

    Args:
        error: What pydantic found.
        model: The root of the settings tree.
    """
    wrong: dict[str, list[str]] = {}
    for detail in error.errors():
        key, expectation = _explain_one(detail, model)
        wrong.setdefault(key, []).append(expectation)
    return "; ".join(key + " or ".join(dict.fromkeys(expectations)) for key, expectations in wrong.items())


def _explain_one(detail: ErrorDetails, model: type[BaseModel]) -> tuple[str, str]:
    """Split one finding into what came and what was expected."""
    path, section = _path_in(detail["loc"], model)
    key = ".".join(path)
    came = f"{key}={_short(detail['input'])}" if key else ""
    if detail["type"] == "extra_forbidden":
        extra = ".".join([*path, *_leaf(detail["loc"][len(path)], detail["input"])])
        return f"no such setting: {extra!r}", _nearest(extra, model, ".".join(path), section)
    if detail["type"] == "invalid_key" or detail["loc"][-1:] == ("[key]",):
        place = f" in {key}" if key else ""
        return (
            f"the key {_short(detail['input'])}{place}: expected ",
            f'a text, as "{detail["input"]}" in quotes',
        )
    if detail["type"] == "model_type":
        return f"{came}: expected settings such as {next(_keys(section, key))}=...", ""
    if detail["type"] == "literal_error":
        expected = detail["ctx"]["expected"]
        near = difflib.get_close_matches(str(detail["input"]), re.findall(r"'([^']*)'", expected), n=1)
        return f"{came}: expected ", expected + (f"; did you mean {near[0]}?" if near else "")
    if detail["type"] == "value_error":
        message = detail["msg"].removeprefix("Value error, ")
        return message if message.startswith(key) else f"{key}: {message}", ""
    return f"{came}: expected ", _expected(detail)


def _expected(detail: ErrorDetails) -> str:
    """Word what one finding asks for, shortly where pydantic is long."""
    kind, limits = detail["type"], detail.get("ctx", {})
    for bound, words in (("ge", "at least"), ("gt", "more than"), ("le", "at most"), ("lt", "less than")):
        if bound in limits:
            return f"{words} {limits[bound]}"
    return _EXPECTED.get(kind.partition("_")[0]) or detail["msg"].removeprefix("Input should be ")


def _path_in(loc: tuple[int | str, ...], model: type[BaseModel]) -> tuple[list[str], type[BaseModel]]:
    """Follow a location as far as it names settings; beyond lie tags of unions and indices of lists."""
    path: list[str] = []
    section = model
    for part in loc:
        if part not in section.model_fields:
            break
        path.append(str(part))
        annotation = section.model_fields[str(part)].annotation
        if not (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
            break
        section = annotation
    return path, section


def _nearest(key: str, model: type[BaseModel], place: str, section: type[BaseModel]) -> str:
    """Name the setting that was probably meant, and those that the place knows."""

    def likeness(known: str) -> float:
        leaf = known.rpartition(".")[2]
        return max(difflib.SequenceMatcher(None, key, text).ratio() for text in (known, leaf))

    best = max(_keys(model), key=likeness)
    hint = f"; did you mean {best}?" if likeness(best) > 0.6 else ""
    return f"{hint} (known{f' in {place}' if place else ''}: {', '.join(section.model_fields)})"


def _keys(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """List the dotted key of every setting below a section."""
    for name, field in model.model_fields.items():
        key = f"{prefix}.{name}" if prefix else name
        annotation = field.annotation
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            yield from _keys(annotation, key)
        else:
            yield key


def _leaf(key: int | str, value: object) -> list[str]:
    """Follow a subtree that nobody knows down to its first value, for its full dotted key."""
    path = [str(key)]
    while isinstance(value, Mapping) and value:
        first, value = next(iter(value.items()))
        path.append(str(first))
    return path


def _split_at_commas(value: str) -> list[str]:
    parts, depth, quote, escaped = [""], 0, "", False
    for character in value:
        if quote:
            quote = "" if character == quote and not escaped else quote
            escaped = quote == '"' and character == "\\" and not escaped
        elif character in "'\"":
            quote = character
        depth += (character in "[{(") - (character in ")}]") if not quote else 0
        if character == "," and depth == 0 and not quote:
            parts.append("")
        else:
            parts[-1] += character
    return parts


def _plain(content: Any) -> Tree:
    return cast(Tree, OmegaConf.to_container(content, resolve=True))


def _short(value: object) -> str:
    text = json.dumps(value, default=str) if not isinstance(value, str) else value
    return text if len(text) <= 60 else text[:57] + "..."


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())
