#!/usr/bin/env python3
"""Holds docs/asyncapi.yaml to events that a pipeline really said, and to AsyncAPI's own schema where npm's package is here.

    check_asyncapi.py docs/asyncapi.yaml EVENTS [SCHEMA]

EVENTS: a JSON list of {"headers": {...}, "payload": {...}, "subject": "..."}.
"""

import json
import sys

import jsonschema
import yaml


def resolved(document, pointer):
    for part in pointer.removeprefix("#/").split("/"):
        document = document[part]
    return document


def main(path, events, schema=None):
    with open(path) as file:
        document = yaml.safe_load(file)
    if schema:
        with open(schema) as file:
            jsonschema.validate(document, json.load(file))
    schemas = document["components"]["schemas"]
    # Every event's schema with the others beside it, so that references between them are found.
    def validator(reference):
        return jsonschema.Draft202012Validator({"$ref": reference, "components": document["components"]})

    with open(events) as file:
        events = json.load(file)
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
    print(f"{len(events)} events of {len(seen)} kinds are as documented")


if __name__ == "__main__":
    main(*sys.argv[1:])
