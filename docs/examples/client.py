#!/usr/bin/env python3
"""A picture in, a mesh out, from Python. Wants nats-py and nothing of ORFEAS.

    client.py nats://127.0.0.1:4222 picture.png out.stl [USER PASSWORD_FILE]

With a user, as nats/users.conf has it: client.py … client secrets/nats-client
"""

import asyncio
import hashlib
import json
import sys
import uuid

import nats
from nats.js.api import ConsumerConfig, DeliverPolicy


async def main(url, picture, out, user=None, password_file=None):
    login = {}
    if user:
        # The user's permissions name this prefix: answers that go elsewhere are refused.
        login = {"user": user, "password": open(password_file).read().strip(), "inbox_prefix": f"_INBOX_{user}"}
    client = await nats.connect(url, **login)
    jetstream = client.jetstream()
    job = f"python-{uuid.uuid4().hex}"

    headers = {"Orfeas-Job": job, "Orfeas-Options": json.dumps({"formats": ["stl"], "size_mm": 60})}
    with open(picture, "rb") as file:
        await jetstream.publish("orfeas.images", file.read(), headers=headers)

    # Events are stored, so nothing is missed however late one begins to listen.
    config = ConsumerConfig(deliver_policy=DeliverPolicy.ALL, filter_subject=f"orfeas.events.*.{job}")
    events = await jetstream.subscribe(f"orfeas.events.*.{job}", stream="EVENTS", ordered_consumer=True, config=config)
    while True:
        event = json.loads((await events.next_msg(timeout=600)).data)
        print(event["kind"], event.get("phase", ""), file=sys.stderr)
        if event["kind"] == "completed":
            break
        if event["kind"] in ("failed", "cancelled"):
            sys.exit(event.get("message", "the job was cancelled"))

    file = event["files"][0]
    data = (await (await jetstream.object_store("orfeas-meshes")).get(file["object"])).data
    if hashlib.sha256(data).hexdigest() != file["sha256"]:
        sys.exit("the bytes are not those of the event")
    with open(out, "wb") as mesh:
        mesh.write(data)
    print(json.dumps({"job": job, "bytes": len(data), "triangles": event["report"]["triangles"]}))
    await client.close()


if __name__ == "__main__":
    if len(sys.argv) not in (4, 6):
        sys.exit(__doc__)
    asyncio.run(main(*sys.argv[1:]))
