#!/usr/bin/env python3
"""Holds docs/asyncapi.yaml to what a pipeline really said, and to AsyncAPI's own schema where npm's package is here.

    check_asyncapi.py docs/asyncapi.yaml SAID [SCHEMA]

SAID: {"events": [{"headers": {...}, "payload": {...}, "subject": "..."}, ...], "records": [...]} in JSON.
"""

import json
import sys

import jsonschema
import yaml


def resolved(document, pointer):
    for part in pointer.removeprefix("#/").split("/"):
        document = document[part]
    return document


def strict(schema):
    """A client is to ignore what it does not know; what this version says is to be documented."""
    if isinstance(schema, dict):
        if "properties" in schema:
            schema.setdefault("additionalProperties", False)
        for part in schema.values():
            strict(part)
    elif isinstance(schema, list):
        for part in schema:
            strict(part)


def main(path, said, schema=None):
    with open(path) as file:
        document = yaml.safe_load(file)
    if schema:
        with open(schema) as file:
            jsonschema.validate(document, json.load(file))
    schemas = document["components"]["schemas"]
    # Messages carry headers of NATS beside ours.
    strict([schema for name, schema in schemas.items() if name != "eventHeaders"])
    # Every event's schema with the others beside it, so that references between them are found.
    def validator(reference):
        return jsonschema.Draft202012Validator({"$ref": reference, "components": document["components"]})

    with open(said) as file:
        said = json.load(file)
    events = said["events"]
    for record in said["records"]:
        for fault in validator("#/components/schemas/record").iter_errors(record):
            sys.exit(f"the record of {record['job']}: {fault.message}\n{json.dumps(record)}")
    if {record["state"] for record in said["records"]} != {"completed", "failed", "cancelled"}:
        sys.exit("not every end has a record")
    seen = {}
    for event in events:
        kind = event["payload"]["kind"]
        message = resolved(document, document["channels"]["events"]["messages"][kind]["$ref"])
        for part in ("headers", "payload"):
            faults = sorted(validator(message[part]["$ref"]).iter_errors(event[part]), key=str)
            if faults:
                sys.exit(f"{event['subject']}: {part}: {faults[0].message}\n{json.dumps(event[part])}")
        seen.setdefault(kind, set()).update(event["payload"])
    for kind in document["channels"]["events"]["parameters"]["kind"]["enum"]:
        if kind not in seen:
            sys.exit(f"no {kind} event was said, so its schema is not held to anything")
        optional = set(schemas[kind]["properties"]) - set(schemas[kind]["required"])
        unseen = set(schemas[kind]["properties"]) - seen[kind] - optional
        if unseen:
            sys.exit(f"{kind}: {unseen} is documented and never said")
    print(f"{len(events)} events of {len(seen)} kinds and {len(said['records'])} records are as documented")


if __name__ == "__main__":
    main(*sys.argv[1:])
