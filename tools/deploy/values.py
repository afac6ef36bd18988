"""What is each value of the chart, and what is it by default? Prints the chart's README, from the comments in values.yaml."""

import re
from pathlib import Path

CHART = Path(__file__).parents[2] / "deploy/helm/hello-birthday"
HEAD = """# The Helm chart of hello-birthday

`docs/kubernetes.md` tells how it is used. This page is made from `values.yaml` by `make kubernetes-manifests`.

| value | default | what it is |
|---|---|---|"""


def rows(text):
    """Each value with a comment before it: its path, its default, the comment."""
    path, comment = [], []
    for line in text.splitlines():
        if line.strip().startswith("#"):
            comment.append(line.strip("# "))
            continue
        match = re.fullmatch(r"( *)([A-Za-z]+):(?: (.*))?", line)
        if not match:
            comment = []
            continue
        indent, name, default = len(match[1]) // 2, match[2], match[3]
        path = path[:indent] + [name]
        if comment and default is None:
            default = "(below)" if name not in ("resources",) else "(see the file)"
        if comment and default != "(below)":
            yield ".".join(path), default, " ".join(comment)
        comment = []


def main():
    print(HEAD)
    for path, default, comment in rows((CHART / "values.yaml").read_text()):
        print(f"| `{path}` | {default if default.startswith('(') else f'`{default}`'} | {comment} |")


main()
