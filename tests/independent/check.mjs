// What the Khronos glTF validator says of GLB and glTF files, and what meshoptimizer's own decoder makes of their
// compressed views: one JSON object a line. Knows nothing of ORFEAS.
//
//     node check.mjs NODE_MODULES FILE...

import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { createHash } from 'node:crypto';
import { join, resolve } from 'node:path';

const require = createRequire(join(resolve(process.argv[2]), 'x.js'));
const validator = require('gltf-validator');
const { MeshoptDecoder } = require('meshoptimizer/decoder');

/** The JSON and the binary chunk of a GLB. */
function open(bytes) {
  const length = bytes.readUInt32LE(12);
  const json = JSON.parse(bytes.subarray(20, 20 + length).toString());
  return [json, bytes.subarray(28 + length, 28 + length + bytes.readUInt32LE(20 + length))];
}

/** SHA-256 of every compressed view, decoded. */
function decoded(json, binary) {
  return json.bufferViews.map((view) => {
    const packed = view.extensions?.EXT_meshopt_compression;
    if (!packed) return null;
    const out = new Uint8Array(packed.count * packed.byteStride);
    const source = binary.subarray(packed.byteOffset ?? 0, (packed.byteOffset ?? 0) + packed.byteLength);
    MeshoptDecoder.decodeGltfBuffer(out, packed.count, packed.byteStride, source, packed.mode, packed.filter ?? 'NONE');
    return createHash('sha256').update(out).digest('hex');
  });
}

await MeshoptDecoder.ready;
for (const file of process.argv.slice(3)) {
  const bytes = readFileSync(file);
  const report = await validator.validateBytes(new Uint8Array(bytes), { uri: file });
  const said = { file, issues: report.issues, info: report.info };
  if (bytes.readUInt32LE(0) === 0x46546c67) {
    const [json, binary] = open(bytes);
    said.views = decoded(json, binary);
  }
  console.log(JSON.stringify(said));
}
