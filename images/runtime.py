"""python -m images.runtime OUTDIR: the self-contained Python that PID 1 of every container runs on.

A copy of the running interpreter with its own dynamic loader, libraries and the few modules that vzinit
imports, to be mounted read-only at /.vz of images with any libc or none.  The result is `OUTDIR/HASH/`, named
by its content, and the link `OUTDIR/current`; nothing is written when that content is there already.
"""

import ast
import hashlib
import importlib.util
import marshal
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from types import CodeType

from images.errors import BuildError
from vzinit import _sys_build

MOUNT_POINT = "/.vz"
VERSION = f"python{sys.version_info.major}.{sys.version_info.minor}"
VZINIT = os.path.dirname(os.path.abspath(_sys_build.__file__))
NOT_MODULES = {"_sys_build.py", "__main__.py"}
# What vzinit imports that some distributions build as a shared object; whatever is built in is left out.
C_MODULES = (
    "_socket",
    "_posixsubprocess",
    "array",
    "errno",
    "fcntl",
    "gc",
    "marshal",
    "resource",
    "select",
    "time",
)
# Modules that offer much of which little is named.
MUCH_UNUSED = ("_codecs", "_signal", "_socket", "errno", "fcntl", "posix", "select", "time")
# Without `encodings` the interpreter does not start.  Its table of 300 aliases is cut to the ones PID 1 can
# meet.
ALIASES = """\
aliases = {"utf8": "utf_8", "utf": "utf_8",
"u8": "utf_8", "646": "ascii", "us_ascii": "ascii", "latin1": "latin_1"}
"""
ENCODINGS = ("__init__", "ascii", "latin_1", "utf_8")
UNCHECKED_HASH = 0b01  # PEP 552: loaded without looking for a source file


def main(arguments: list[str]) -> int:
    """Entry point: build (or find) the runtime, print its path."""
    if len(arguments) != 1:
        print("usage: python -m images.runtime OUTDIR", file=sys.stderr)
        return 2
    try:
        print(build(os.path.abspath(arguments[0])))
    except (BuildError, OSError, subprocess.CalledProcessError) as error:
        print(f"runtime: {error}", file=sys.stderr)
        return 1
    return 0


def build(outdir: str) -> str:
    """Make the runtime below *outdir* and answer its path.

    Raises BuildError or OSError; leaves nothing half done.
    """
    for tool in ("patchelf", "ldd", "strip"):
        if shutil.which(tool) is None:
            raise BuildError(f"{tool} is missing: apt-get install patchelf binutils libc-bin")
    os.makedirs(outdir, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".new-", dir=outdir) as scratch:
        tree = f"{scratch}/runtime"
        compose(tree, scratch)
        final = f"{outdir}/{digest(tree)}"
        if not os.path.isdir(final):
            os.chmod(tree, 0o755)
            os.rename(tree, final)
        point_to(outdir, final)
    return final


def point_to(outdir: str, final: str) -> None:
    """Let `OUTDIR/current` name *final*, in one step."""
    link = f"{outdir}/.current-{os.getpid()}"
    os.symlink(os.path.basename(final), link)
    os.replace(link, f"{outdir}/current")


def compose(tree: str, scratch: str) -> None:
    """All files of the runtime."""
    library = f"{tree}/lib/{VERSION}"
    os.makedirs(f"{library}/lib-dynload")
    os.makedirs(f"{tree}/bin")
    python = os.path.realpath(getattr(sys, "_base_executable", sys.executable))
    shutil.copy(python, f"{tree}/bin/vzinit")
    binaries = [f"{tree}/bin/vzinit", *shared_modules(f"{library}/lib-dynload")]
    compile_stdlib(library)
    # The main program is a file of byte code: 44 KiB less than `-c` or `-m`.
    compile_file(f"{VZINIT}/__main__.py", f"{tree}/lib/init.pyc", "vzinit/__main__.py")
    write_telinit(f"{tree}/bin/telinit")
    binaries += compile_vzinit(f"{library}/vzinit", scratch)
    loader = copy_libraries(binaries, f"{tree}/lib")
    relocate(binaries, tree, loader)


def write_telinit(path: str) -> None:
    """A program for guests: see vzinit/telinit.py."""
    with open(path, "w", encoding="utf-8") as file:
        file.write(f"#!{MOUNT_POINT}/bin/vzinit -ISE\nimport vzinit.telinit\n")
    os.chmod(path, 0o755)


def shared_modules(target: str) -> list[str]:
    """Copies of the C modules that are not built into the interpreter."""
    copies = []
    for name in C_MODULES:
        if name in sys.builtin_module_names:
            continue
        spec = importlib.util.find_spec(name)
        if spec is None or not spec.origin:
            raise BuildError(f"this Python has no module {name}")
        copies.append(shutil.copy(spec.origin, target))
    return copies


def compile_stdlib(library: str) -> None:
    """What the interpreter reads first: `encodings`, and an empty `os` by which it knows its library."""
    source = sysconfig.get_path("stdlib")
    compile_text("", f"{library}/os.pyc", "os.py")
    os.mkdir(f"{library}/encodings")
    compile_text(ALIASES, f"{library}/encodings/aliases.pyc", "encodings/aliases.py")
    for name in ENCODINGS:
        compile_file(f"{source}/encodings/{name}.py", f"{library}/encodings/{name}.pyc", f"encodings/{name}.py")


def compile_vzinit(target: str, scratch: str) -> list[str]:
    """vzinit's own modules and its shim; answers the shared objects."""
    os.mkdir(target)
    for name in sorted(os.listdir(VZINIT)):
        if name.endswith(".py") and name not in NOT_MODULES:
            compile_file(f"{VZINIT}/{name}", f"{target}/{name}c", f"vzinit/{name}")
    compile_text(f"NAMES = {names_used()!r}\n", f"{target}/kept.pyc", "vzinit/kept.py")
    return [shutil.copy(_sys_build.compile_into(scratch), target)]


def names_used() -> dict[str, tuple[str, ...]]:
    """What vzinit and the import system name of the C modules that offer much; `vzinit.slim` drops the rest."""
    used: dict[str, set[str]] = {name: set() for name in MUCH_UNUSED}
    used["_socket"].add("timeout")
    used["posix"].add("environ")
    importer = f"{sysconfig.get_path('stdlib')}/importlib/_bootstrap_external.py"
    ours = (f"{VZINIT}/{name}" for name in os.listdir(VZINIT) if name.endswith(".py") and name != "_sys_build.py")
    for path in (importer, *ours):
        with open(path, encoding="utf-8") as file:
            tree = ast.parse(file.read())
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                used.get("posix" if node.value.id == "_os" else node.value.id, set()).add(node.attr)
    return {module: tuple(sorted(names)) for module, names in used.items()}


def compile_file(source: str, target: str, name: str) -> None:
    with open(source, encoding="utf-8") as file:
        compile_text(file.read(), target, name)


def compile_text(text: str, target: str, name: str) -> None:
    """Byte code as of -OO, without annotations and position tables, which every container would pay for."""
    module = Stripper().visit(ast.parse(text))
    code = compile(ast.fix_missing_locations(module), f"<vz>/{name}", "exec", optimize=2, dont_inherit=True)
    header = importlib.util.MAGIC_NUMBER + UNCHECKED_HASH.to_bytes(4, "little") + bytes(8)
    with open(target, "wb") as file:
        file.write(header + marshal.dumps(without_positions(code)))


def without_positions(code: CodeType) -> CodeType:
    """*code* and all code inside it without tables of line numbers."""
    constants = tuple(without_positions(one) if isinstance(one, CodeType) else one for one in code.co_consts)
    return code.replace(co_consts=constants, co_linetable=b"")


class Stripper(ast.NodeTransformer):
    """Takes out annotations and the imports that serve them."""

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        node.returns = None
        arguments = node.args
        for argument in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs):
            argument.annotation = None
        for star in (arguments.vararg, arguments.kwarg):
            if star:
                star.annotation = None
        return self.generic_visit(node)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        if node.value is None:
            return ast.Pass()
        return self.generic_visit(ast.Assign(targets=[node.target], value=node.value))

    def visit_If(self, node: ast.If) -> ast.AST:
        if isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            return ast.Pass()
        return self.generic_visit(node)


def copy_libraries(binaries: list[str], target: str) -> str:
    """Copies every library that *binaries* need; answers the file name of the dynamic loader."""
    loader = read_interpreter(binaries[0])
    needed = {loader} | {path for binary in binaries for path in libraries_of(binary)}
    for path in sorted(needed):
        shutil.copy(os.path.realpath(path), f"{target}/{os.path.basename(path)}")
    return os.path.basename(loader)


def read_interpreter(binary: str) -> str:
    return subprocess.check_output(["patchelf", "--print-interpreter", binary], text=True).strip()


def libraries_of(binary: str) -> set[str]:
    """Absolute paths of the libraries that the dynamic loader takes for *binary*."""
    listing = subprocess.check_output(["ldd", binary], text=True)
    if "not found" in listing:
        raise BuildError(f"a library of {os.path.basename(binary)} is missing:\n{listing}")
    return set(re.findall(r"=> (/\S+)", listing))


def relocate(binaries: list[str], tree: str, loader: str) -> None:
    """Bind everything to the libraries in /.vz.

    Each object gets the path itself: RUNPATH is not inherited.
    """
    libraries = [f"{tree}/lib/{name}" for name in os.listdir(f"{tree}/lib") if ".so" in name]
    for path in (*binaries, *libraries):
        os.chmod(path, 0o755)
        subprocess.run(["strip", "--strip-unneeded", path], check=True)
        if os.path.basename(path) != loader:
            subprocess.run(["patchelf", "--set-rpath", f"{MOUNT_POINT}/lib", path], check=True)
    subprocess.run(["patchelf", "--set-interpreter", f"{MOUNT_POINT}/lib/{loader}", binaries[0]], check=True)


def digest(tree: str) -> str:
    """A name made of every path and content below *tree*."""
    total = hashlib.sha256()
    for directory, _, names in sorted(os.walk(tree)):
        for name in sorted(names):
            path = os.path.join(directory, name)
            with open(path, "rb") as file:
                content = hashlib.file_digest(file, "sha256").hexdigest()
            total.update(f"{os.path.relpath(path, tree)} {content}\n".encode())
    return total.hexdigest()[:16]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
