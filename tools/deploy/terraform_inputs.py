"""Does the README of deploy/terraform tell every input and output, as the files have them?

    terraform_inputs.py            writes the tables
    terraform_inputs.py --check    says whether they are as they would be written
"""
import re
import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[2] / "deploy/terraform"
README = FOLDER / "README.md"
BLOCK = re.compile(r'^(variable|output) "(\w+)" \{\n(.*?)^\}', re.MULTILINE | re.DOTALL)


def main(check):
    told = README.read_text()
    should = re.sub(r"(<!-- inputs -->\n).*?(<!-- end -->)", lambda found: found[1] + tables() + found[2], told, flags=re.DOTALL)
    if not check:
        README.write_text(should)
    elif told != should:
        sys.exit(f"{README} does not tell what the files have: run {Path(__file__).name}")


def tables():
    return "\n".join(["| input | default | what it sets |", "|---|---|---|", *map(input_row, blocks("variable")), "",
                      "| output | what it tells |", "|---|---|", *map(output_row, blocks("output")), ""])


def blocks(kind):
    text = (FOLDER / f"{kind}s.tf").read_text()
    return [(name, body) for found, name, body in BLOCK.findall(text) if found == kind]


def input_row(block):
    name, body = block
    found = re.search(r"^  default +=\s*(.+)$", body, re.MULTILINE)
    default = f"`{found[1]}`" if found else "must be set"
    return f"| `{name}` | {'' if default == '`null`' else default} | {description(body)} |"


def output_row(block):
    return f"| `{block[0]}` | {description(block[1])} |"


def description(body):
    return re.search(r'^  description = "(.*)"$', body, re.MULTILINE)[1].replace("|", "\\|")


if __name__ == "__main__":
    main("--check" in sys.argv)
