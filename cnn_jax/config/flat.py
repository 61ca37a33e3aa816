"""Takes the text of a config apart without building it."""

import ast


def flat(text: str) -> dict[str, str]:
    """The fields of a constructor expression: `optimizer` "SGD", `optimizer.peak_lr` "0.1".

    The expression is parsed, not built, so custom classes are not needed.
    """
    found: dict[str, str] = {}

    def walk(node: ast.expr, path: str) -> None:
        if isinstance(node, ast.Call):
            found[path] = ast.unparse(node.func)
            parts = [(str(number), part) for number, part in enumerate(node.args)]
            parts += [(keyword.arg or "", keyword.value) for keyword in node.keywords]
        elif isinstance(node, ast.Tuple) and any(isinstance(e, ast.Call) for e in node.elts):
            parts = [(str(number), part) for number, part in enumerate(node.elts)]
        else:
            found[path] = ast.unparse(node)
            return
        for name, part in parts:
            walk(part, f"{path}.{name}" if path else name)

    walk(ast.parse(text, mode="eval").body, "")
    found.pop("", None)
    return found
