"""A plain NATS client: publishes a picture as a job that it names, waits for that job's end, fetches the file.

It knows subjects and buckets by name and nothing else of ORFEAS.

    fetch.py nats://127.0.0.1:4222 picture.png out.stl [USER PASSWORD_FILE]
"""

import asyncio
import hashlib
import json
import sys
import uuid

import nats


async def main(url: str, picture: str, out: str, user: str = "", password_file: str = "") -> None:
    login = {}
    if user:
        with open(password_file) as file:
            login = {"user": user, "password": file.read().strip(), "inbox_prefix": f"_INBOX_{user}"}
    client = await nats.connect(url, **login)
    try:
        job = uuid.uuid4().hex
        events = await client.subscribe(f"orfeas.events.*.{job}")
        await client.flush()
        jetstream = client.jetstream()
        with open(picture, "rb") as file:
            await jetstream.publish("orfeas.images", file.read(), headers={"Orfeas-Job": job})
        kind = None
        while kind not in ("completed", "failed", "cancelled"):
            message = await events.next_msg(timeout=60)
            kind, event = message.subject.split(".")[2], json.loads(message.data)
        if kind != "completed":
            sys.exit(f"{kind}: {event.get('message', '')}")
        file = event["files"][0]
        bucket = await jetstream.object_store("orfeas-meshes")
        data = (await bucket.get(file["object"])).data
        if hashlib.sha256(data).hexdigest() != file["sha256"]:
            sys.exit("the bytes are not those of the event")
        with open(out, "wb") as mesh:
            mesh.write(data)
        print(json.dumps({"job": event["job"], "sha256": file["sha256"], "bytes": len(data)}))
    finally:
        await client.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:6]))
