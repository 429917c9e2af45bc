"""What docs/examples/client.sh wants of the `nats` command, where that cannot be had: the same commands and flags, read in its
sources (github.com/nats-io/natscli 0.4), and no others. It shows that the script's subjects, fields and logic are right, and that
the user `client` may do what it does; that the real program takes the flags, only the real program can show.
"""

import argparse
import asyncio
import os
import sys

import nats


def arguments():
    parser = argparse.ArgumentParser(prog="nats", allow_abbrev=False)
    parser.add_argument("--inbox-prefix", default="_INBOX")
    commands = parser.add_subparsers(dest="command", required=True)
    publish = commands.add_parser("publish", allow_abbrev=False)
    publish.add_argument("subject")
    publish.add_argument("--header", action="append", default=[])
    for flag in ("--jetstream", "--no-templates", "--force-stdin"):
        publish.add_argument(flag, action="store_true", required=True)
    kv = commands.add_parser("kv").add_subparsers(dest="verb", required=True).add_parser("get", allow_abbrev=False)
    kv.add_argument("bucket")
    kv.add_argument("key")
    kv.add_argument("--raw", action="store_true", required=True)
    thing = commands.add_parser("object").add_subparsers(dest="verb", required=True).add_parser("get", allow_abbrev=False)
    thing.add_argument("bucket")
    thing.add_argument("file")
    thing.add_argument("--output", required=True)
    for flag in ("--force", "--no-progress"):
        thing.add_argument(flag, action="store_true")
    return parser.parse_args()


async def main(wanted):
    login = {"user": os.environ["NATS_USER"], "password": os.environ["NATS_PASSWORD"]} if "NATS_USER" in os.environ else {}
    client = await nats.connect(os.environ["NATS_URL"], inbox_prefix=wanted.inbox_prefix, **login)
    jetstream = client.jetstream()
    try:
        if wanted.command == "publish":
            headers = dict((part.strip() for part in header.split(":", 1)) for header in wanted.header)
            stored = await jetstream.publish(wanted.subject, sys.stdin.buffer.read(), headers=headers)
            print(f"Stored in Stream: {stored.stream} Sequence: {stored.seq}")
        elif wanted.command == "kv":
            bucket = await jetstream.key_value(wanted.bucket)
            try:
                sys.stdout.buffer.write((await bucket.get(wanted.key)).value)
            except nats.js.errors.KeyNotFoundError:
                sys.exit("nats: error: nats: key not found")
        else:
            bucket = await jetstream.object_store(wanted.bucket)
            with open(wanted.output, "wb") as file:
                file.write((await bucket.get(wanted.file)).data)
            print(f"Wrote: {wanted.output}")
    finally:
        await client.close()


if __name__ == "__main__":
    asyncio.run(main(arguments()))
