"""Gives back what the interpreter needed for its own start.  Imported first, so that vzinit fills the freed
memory.

PID 1 is multiplied by the containers: 250 KiB less each (measured, CPython 3.11).
"""

import gc
import sys

from vzinit import _sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from vzinit.ring import Ring

# Python modules of the start.  What they registered (the utf-8 codec, the import hooks) stays.
DONE_WITH = ("zipimport", "io", "codecs", "abc", "encodings.aliases", "encodings.utf_8", "encodings")


def forget_the_start(stderr: "Ring") -> None:
    """Drop modules, standard streams and the hook for zip files.

    What Python itself has to say goes to *stderr* from here on.
    """
    sys.path_hooks[:] = [hook for hook in sys.path_hooks if getattr(hook, "__name__", "") != "zipimporter"]
    sys.stdin = sys.__stdin__ = sys.stdout = sys.__stdout__ = None  # type: ignore[misc]
    sys.stderr = sys.__stderr__ = stderr  # type: ignore[assignment,misc]
    for name in DONE_WITH:
        module = sys.modules.pop(name, None)
        if module:
            vars(module).clear()
    sys.stdlib_module_names = frozenset()
    forget_documentation()
    gc.collect()


def forget_documentation() -> None:
    """Drop the texts of the modules and of the built-in types, which the interpreter makes objects of at its start."""
    for module in sys.modules.values():
        vars(module)["__doc__"] = None
    types = [object]
    for one in types:
        types += type.__subclasses__(one)
    for one in types:
        members = gc.get_referents(one.__dict__)[0]  # behind the read-only view
        if members.get("__doc__"):
            members["__doc__"] = None
            _sys.type_modified(one)


def keep_what_is_named() -> None:
    """Drop what C modules offer and nobody names here: `_socket` alone has four hundred constants.

    The builder of the runtime made `vzinit.kept` from the sources of vzinit and of the import system.  A dictionary
    shrinks only when it is emptied and filled again.
    """
    import vzinit.kept  # type: ignore[import-not-found]

    kept = vzinit.kept.NAMES
    members = {name: vars(__import__(name)) for name in kept}
    # Also the copies that the import system keeps for a second interpreter.
    whole = [one for one in gc.get_objects() if type(one) is dict and one.get("__name__") in kept]
    for module, names in kept.items():
        rest = {name: value for name, value in members[module].items() if name in names or name[:2] == "__"}
        for one in whole:
            if one.get("__name__") == module:
                one.clear()
        members[module].update(rest)
    del sys.modules["vzinit.kept"], vzinit.kept


def forget_imports(package: str) -> None:
    """Drop the notes of the import system about loaded modules; later imports work all the same."""
    for name, module in sys.modules.items():
        if name.startswith(package + "."):
            for attribute in ("__spec__", "__loader__", "__cached__", "__file__", "__doc__"):
                vars(module).pop(attribute, None)
    sys.path_importer_cache.clear()
