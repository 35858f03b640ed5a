"""Running a Python file by its path, under a private module name."""

from __future__ import annotations

import hashlib
import sys
import traceback
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from types import CodeType, ModuleType

from qshield_qiskit.errors import InputError


class _SourceLoader(SourceFileLoader):
    """Reads the source every time: bytecode caches know whole seconds, too coarse for a file being edited."""

    def get_code(self, fullname: str) -> CodeType:
        """Compile the file as it is now."""
        return self.source_to_code(self.get_data(self.path), self.path)


def load_module(path: Path) -> ModuleType:
    """Run a Python file as a module under a name of its own, which no import statement reaches.

    Raises:
        InputError: The file cannot be read or run; the line says where and why.
    """
    path = path.resolve()
    digest = hashlib.sha256(str(path).encode()).hexdigest()[:12]
    loader = _SourceLoader(f"_qshield_{path.stem}_{digest}", str(path))
    spec = spec_from_loader(loader.name, loader, origin=str(path))
    assert spec is not None
    module = module_from_spec(spec)
    sys.modules[loader.name] = module  # before it runs: dataclasses look their module up
    try:
        loader.exec_module(module)
    except Exception as error:
        del sys.modules[loader.name]
        raise raised_by(path, error) from error
    return module


def raised_by(path: Path, error: Exception) -> InputError:
    """Word what a file raised: where and why."""
    return InputError(f"{path}{_line_of(error, path.resolve())}: {type(error).__name__}: {first_line(error)}")


def first_line(error: BaseException) -> str:
    """Give the first line of an exception's message."""
    return str(error).strip().split("\n", 1)[0]


def _line_of(error: BaseException, path: Path) -> str:
    """Say `:12` for an error in the file's line 12, or nothing where no line of it is to blame."""
    if isinstance(error, SyntaxError):
        return ""  # its message names the line itself
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if frame.filename == str(path)]
    return f":{lines[-1]}" if lines else ""
