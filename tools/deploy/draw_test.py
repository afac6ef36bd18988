"""Is everything in the picture of AWS made by Terraform, and everything drawn that it says it draws?"""
import ast
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def main():
    source = ast.parse((ROOT / "tools/deploy/draw.py").read_text())
    said = next(node for node in source.body if isinstance(node, ast.Assign) and node.targets[0].id == "AWS")
    named = set(ast.literal_eval(said.value))
    drawing = next(node for node in source.body if isinstance(node, ast.FunctionDef) and node.name == "aws")
    drawn = {node.slice.value for node in ast.walk(drawing) if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant)
             and isinstance(node.slice.value, str)}
    files = (ROOT / "deploy/terraform").rglob("*.tf")
    made = {kind for path in files for kind in re.findall(r'^resource "(\w+)"', path.read_text(), re.MULTILINE)}
    for words, wrong in (("not made by Terraform", named - made), ("named, but not drawn", named ^ drawn)):
        if wrong:
            sys.exit(f"the picture of AWS: {words}: {', '.join(sorted(wrong))}")


if __name__ == "__main__":
    main()
