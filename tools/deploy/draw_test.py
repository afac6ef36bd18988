"""Is everything in the picture of AWS made by Terraform, is everything that Terraform makes drawn or left out on purpose, and is
every picture shown?
"""
import ast
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# What belongs to something that is drawn, or would tell a reader nothing.
LEFT_OUT = re.compile(
    r"aws_(iam|s3_bucket|security_group|default_security_group|vpc_security_group|route$|route_table|eip|flow_log|kms_alias|launch_template"
    r"|acm_certificate_|appautoscaling_policy|cloudwatch_dashboard|db_(parameter|subnet)_group|db_instance_automated|ecr_lifecycle"
    r"|ecs_(cluster|capacity_provider|task_definition)|lb_|sns_|ssm_)")


def main():
    source = ast.parse((ROOT / "tools/deploy/draw.py").read_text())
    said = next(node for node in source.body if isinstance(node, ast.Assign) and node.targets[0].id == "AWS")
    named = set(ast.literal_eval(said.value))
    drawing = next(node for node in source.body if isinstance(node, ast.FunctionDef) and node.name == "aws")
    drawn = {node.slice.value for node in ast.walk(drawing) if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant)
             and isinstance(node.slice.value, str)}
    files = (ROOT / "deploy/terraform").rglob("*.tf")
    made = {kind for path in files for kind in re.findall(r'^resource "(\w+)"', path.read_text(), re.MULTILINE)}
    not_drawn = {kind for kind in made - named if not LEFT_OUT.match(kind)}
    for words, wrong in (("not made by Terraform", named - made), ("named, but not drawn", named ^ drawn), ("not drawn", not_drawn)):
        if wrong:
            sys.exit(f"the picture of AWS: {words}: {', '.join(sorted(wrong))}")
    pages = "".join(path.read_text() for path in [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
    unseen = [path.name for path in (ROOT / "docs/diagrams").iterdir() if f"diagrams/{path.name})" not in pages]
    if unseen:
        sys.exit(f"pictures that no page shows: {', '.join(unseen)}")


if __name__ == "__main__":
    main()
