// The worker of onnx.html: a greedy loop over make_onnx.py's graph, timed here since the runtime has no loop of its own.
// Any tokens do as a prompt; the cache goes out of a call and into the next, on the GPU without a copy.
let ort;
let session;
let caches;
let gpu;

async function load({ device, onnx }) {
  gpu = device === "webgpu";
  ort = await import(gpu ? "/ort/ort.webgpu.min.mjs" : "/ort/ort.wasm.min.mjs");
  ort.env.wasm.numThreads = 1;
  ort.env.wasm.wasmPaths = "/ort/";
  const bytes = new Uint8Array(await (await fetch(`/onnx/${onnx}`)).arrayBuffer());
  const options = { executionProviders: [device], graphOptimizationLevel: "all" };
  session = await ort.InferenceSession.create(bytes, {
    ...options,
    ...(gpu ? { preferredOutputLocation: locations() } : {}),
  });
  caches = session.inputNames.filter((name) => name.startsWith("past."));
  return { device, threads: 1, onnx, version: ort.env.versions.web };
}

/** Where outputs stay: the caches on the GPU. The graph's names are known before the session is. */
function locations() {
  const all = { logits: "cpu" };
  for (let layer = 0; layer < 30; layer += 1) {
    for (const what of ["key", "value"]) all[`present.${layer}.${what}`] = "gpu-buffer";
  }
  return all;
}

async function step(tokens, past, keys) {
  const feeds = {
    ...past,
    tokens: new ort.Tensor("int64", BigInt64Array.from(tokens, BigInt), [1, tokens.length]),
    last_key: new ort.Tensor("int32", Int32Array.of(keys - 1), [1]),
    keys: new ort.Tensor("int32", Int32Array.of(keys), []),
  };
  const results = await session.run(feeds);
  for (const name of caches) past[name]?.dispose?.();
  const next = Object.fromEntries(caches.map((name) => [name, results[name.replace("past", "present")]]));
  const logits = await results.logits.getData();
  let best = 0;
  for (let i = 1; i < logits.length; i += 1) if (logits[i] > logits[best]) best = i;
  return { best, next };
}

async function run({ prompt, tokens }) {
  const ids = Array.from({ length: prompt }, (_, i) => (i * 7919) % 49152);
  const empty = () => new ort.Tensor("float32", new Float32Array(0), [1, 3, 0, 64]);
  let past = Object.fromEntries(caches.map((name) => [name, empty()]));
  const start = performance.now();
  let { best, next } = await step(ids, past, prompt);
  const prefilled = performance.now();
  for (let i = 1; i < tokens; i += 1) {
    past = next;
    ({ best, next } = await step([best], past, prompt + i));
  }
  const seconds = (performance.now() - prefilled) / 1000;
  for (const tensor of Object.values(next)) tensor.dispose?.();
  return {
    prompt_tokens: prompt,
    prefill: (1000 * prompt) / (prefilled - start),
    decode: (tokens - 1) / seconds,
    decoded: tokens - 1,
  };
}

onmessage = async ({ data }) => {
  try {
    postMessage({ value: await (data.load ? load(data.load) : run(data)) });
  } catch (error) {
    postMessage({ error: String(error?.message ?? error) });
  }
};
