// The worker of ours.html: loads the engine's module and the model, and answers one conversation a request.
import init, { Engine } from "/engine/apprentice.js";

/** An empty store: nothing is taught here. */
const store = {
  get: async () => undefined,
  list: async () => [],
  apply: async () => {},
  putBlob: async () => {},
  getBlob: async () => undefined,
  deleteBlob: async () => {},
  listBlobs: async () => [],
};

let engine;

async function load(device) {
  await init();
  const bytes = new Uint8Array(await (await fetch("/model.gguf")).arrayBuffer());
  const read = (offset, length) => bytes.subarray(offset, offset + length);
  const source = { name: "model.gguf", length: bytes.length, read };
  engine = await Engine.load(source, store, { device, seed: 0 }, () => {});
  return engine.info();
}

async function run({ messages, tokens }) {
  const answer = await engine.chat(messages, { temperature: 0, tokens_max: tokens }, () => {});
  return {
    prompt_tokens: answer.prompt_tokens - answer.reused_tokens,
    prefill: answer.prefill_tokens_per_s,
    decode: answer.decode_tokens_per_s,
    decoded: answer.generated_tokens,
  };
}

onmessage = async ({ data }) => {
  try {
    postMessage({ value: await (data.load ? load(data.load) : run(data)) });
  } catch (error) {
    postMessage({ error: String(error?.message ?? error) });
  }
};
