// Runs ONNX graphs on ONNX Runtime's CPU provider on request: one JSON object a line in, one a line out. Started by peers.py.
//
//   {"op": "load", "model": path, "threads": n, "level": "all", "inputs": {name: path of raw values}}
//   {"op": "run", "times": n}         -> {"ms": [n times]}
//   {"op": "save", "folder": path}    -> {"outputs": {name: [dims]}}, raw values in folder/<index>.bin
//   {"op": "memory"}                  -> {"peak_rss_bytes": n}, of the process since its start
//   {"op": "release"}
//
// Outputs are allocated once, at load, so that a timed run allocates nothing but what the engine itself wants.
'use strict';

const fs = require('fs');
const readline = require('readline');
const ort = require('onnxruntime-node');

const ARRAYS = { float32: Float32Array, int64: BigInt64Array };

let session = null;
let feeds = {};
let fetches = {};

function fromFile(path, type) {
  const bytes = fs.readFileSync(path);
  return new ARRAYS[type](bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength));
}

function tensor(meta, values) {
  const count = meta.shape.reduce((a, b) => a * b, 1);
  if (!Number.isInteger(count)) throw new Error(`${meta.name}: expected a fixed shape, found ${meta.shape}`);
  return new ort.Tensor(meta.type, values(count), meta.shape);
}

async function load(request) {
  await release();
  session = await ort.InferenceSession.create(request.model, {
    executionProviders: ['cpu'],
    graphOptimizationLevel: request.level,
    intraOpNumThreads: request.threads,
    interOpNumThreads: 1,
    executionMode: 'sequential',
    logSeverityLevel: 3,
    extra: { session: { intra_op: { allow_spinning: '1' }, set_denormal_as_zero: '1' } },
    ...(request.optimized && { optimizedModelFilePath: request.optimized }),
    ...(request.profile && { enableProfiling: true, profileFilePrefix: request.profile }),
  });
  for (const meta of session.inputMetadata) {
    feeds[meta.name] = tensor(meta, () => fromFile(request.inputs[meta.name], meta.type));
  }
  for (const meta of session.outputMetadata) {
    fetches[meta.name] = tensor(meta, count => new ARRAYS[meta.type](count));
  }
  return {};
}

async function run(request) {
  const ms = [];
  for (let i = 0; i < request.times; i++) {
    const start = performance.now();
    await session.run(feeds, fetches);
    ms.push(performance.now() - start);
  }
  return { ms };
}

async function save(request) {
  const results = await session.run(feeds);
  const outputs = {};
  session.outputNames.forEach((name, i) => {
    const data = results[name].data;
    fs.writeFileSync(`${request.folder}/${i}.bin`, Buffer.from(data.buffer, data.byteOffset, data.byteLength));
    outputs[name] = results[name].dims;
  });
  return { outputs };
}

async function release() {
  if (session) await session.release();
  session = null;
  feeds = {};
  fetches = {};
  return {};
}

async function memory() {
  const peak = /VmHWM:\s+(\d+) kB/.exec(fs.readFileSync('/proc/self/status', 'utf8'));
  return { peak_rss_bytes: 1024 * Number(peak[1]) };
}

const OPERATIONS = { load, run, save, release, memory };

(async () => {
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const request = JSON.parse(line);
    let reply;
    try {
      reply = await OPERATIONS[request.op](request);
    } catch (error) {
      reply = { error: String(error.message || error) };
    }
    process.stdout.write(JSON.stringify(reply) + '\n');
  }
})();
