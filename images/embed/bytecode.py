"""Source text to byte code that carries nothing it does not need."""

import ast
import marshal
from types import CodeType


def compiled(text: str, name: str, *, positions: bool) -> bytes:
    """*text* as marshalled byte code, as of -OO and without annotations.

    Without *positions* it has no tables of line numbers, which every container would pay for.
    """
    module = Stripper().visit(ast.parse(text))
    code = compile(ast.fix_missing_locations(module), f"<vz>/{name}", "exec", optimize=2, dont_inherit=True)
    return marshal.dumps(code if positions else without_positions(code))


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

    def visit_If(self, node: ast.If) -> ast.AST | list[ast.stmt]:
        self.generic_visit(node)
        if isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            return node.orelse or ast.Pass()
        return node
