// A picture in, a mesh out, from JavaScript. Wants @nats-io/transport-node, jetstream and obj (package.json beside this).
//
//   node client.mjs nats://127.0.0.1:4222 picture.png out.stl [USER PASSWORD_FILE]

import { createHash, randomUUID } from "node:crypto";
import { readFile, writeFile } from "node:fs/promises";
import { connect, headers } from "@nats-io/transport-node";
import { DeliverPolicy, jetstream } from "@nats-io/jetstream";
import { Objm } from "@nats-io/obj";

const [url, picture, out, user, passwordFile] = process.argv.slice(2);
// The user's permissions name this prefix: answers that go elsewhere are refused.
const login = user
  ? { user, pass: (await readFile(passwordFile, "utf8")).trim(), inboxPrefix: `_INBOX_${user}` }
  : {};
const connection = await connect({ servers: url, ...login });
const js = jetstream(connection);
const job = `js-${randomUUID()}`;

const head = headers();
head.set("Orfeas-Job", job);
head.set("Orfeas-Options", JSON.stringify({ formats: ["stl"], size_mm: 60 }));
await js.publish("orfeas.images", await readFile(picture), { headers: head });

// Events are stored, so nothing is missed however late one begins to listen.
const filter = `orfeas.events.*.${job}`;
const consumer = await js.consumers.get("EVENTS", { filter_subjects: filter, deliver_policy: DeliverPolicy.All });
let completed;
for await (const message of await consumer.consume()) {
  const event = message.json();
  console.error(event.kind, event.phase ?? "");
  if (event.kind === "completed") {
    completed = event;
    break;
  }
  if (event.kind === "failed" || event.kind === "cancelled") {
    console.error(event.message ?? "the job was cancelled");
    process.exit(1);
  }
}

const [file] = completed.files;
const bucket = await new Objm(js).open("orfeas-meshes");
const data = await bucket.getBlob(file.object);
if (createHash("sha256").update(data).digest("hex") !== file.sha256) {
  console.error("the bytes are not those of the event");
  process.exit(1);
}
await writeFile(out, data);
console.log(JSON.stringify({ job, bytes: data.length, triangles: completed.report.triangles }));
await connection.close();
