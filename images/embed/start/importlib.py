"""The import system: what is not in the program is nowhere, so there is nothing to search and nothing to note.

Stands for `_frozen_importlib`.  The interpreter calls the functions that begin with `_`; one thread only.
"""

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    import _imp
    from collections.abc import Callable, Sequence
    from types import ModuleType

    Import = Callable[[str], ModuleType]


class BuiltinImporter:
    """What the interpreter notes as the loader of `__main__`."""


class Spec:
    """What a C module is made from."""

    def __init__(self, name: str) -> None:
        self.name = name


def _install(_sys: "ModuleType", _imp_module: "ModuleType") -> None:
    """The first call.  By now there is a module `_imp`."""
    global _imp
    import _imp


def _install_external_importers() -> None:
    """The second call: there are none."""


def _find_and_load(name: str, _import: "Import") -> "ModuleType":
    """Module *name*, which is not loaded yet.  Raises ModuleNotFoundError."""
    parent, _, child = name.rpartition(".")
    if parent and parent not in sys.modules:
        _find_and_load(parent, _import)
    if _imp.is_builtin(name):
        module = load_builtin(name)
    elif _imp.is_frozen(name):
        module = load_frozen(name)
    else:
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)
    if parent:
        setattr(sys.modules[parent], child, module)
    return module


def load_builtin(name: str) -> "ModuleType":
    module = sys.modules[name] = _imp.create_builtin(Spec(name))  # type: ignore[arg-type]
    _imp.exec_builtin(module)
    return module


def load_frozen(name: str) -> "ModuleType":
    module = sys.modules[name] = type(sys)(name)
    if _imp.is_frozen_package(name):
        module.__path__ = []
    try:
        exec(_imp.get_frozen_object(name), vars(module))
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _handle_fromlist(module: "ModuleType", names: "Sequence[str]", _import: "Import") -> "ModuleType":
    """`from package import names`: those that are modules are loaded."""
    for name in names:
        if not hasattr(module, name):
            try:
                _import(f"{module.__name__}.{name}")
            except ModuleNotFoundError as error:
                if error.name != f"{module.__name__}.{name}":
                    raise  # else the interpreter says that the name cannot be imported
    return module


def _module_repr(module: "ModuleType") -> str:
    return f"<module {module.__name__!r}>"
