// The page's engine in Node, on the CPU device in one thread: prefill and decode, medians of several answers.
//
// V8 is Chromium's, so a worker of the page runs at this speed. It measures what `cargo xtask page` built last:
//   node bench/wasm.mjs [--engine DIR] [--model FILE] [--runs N]
import { closeSync, openSync, readFileSync, readSync, statSync } from "node:fs";
import { homedir } from "node:os";
import { basename, join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { parseArgs } from "node:util";

const root = resolve(import.meta.dirname, "..");
const { values } = parseArgs({
  options: {
    engine: { type: "string", default: join(root, "www/public/engine") },
    model: { type: "string", default: join(homedir(), ".cache/apprentice/SmolLM2-135M-Instruct.Q4_1.gguf") },
    runs: { type: "string", default: "5" },
  },
});

const glue = await import(pathToFileURL(resolve(values.engine, "apprentice.js")).href);
await glue.default({ module_or_path: readFileSync(resolve(values.engine, "apprentice_bg.wasm")) });

const file = openSync(values.model, "r");
const source = {
  name: basename(values.model),
  length: statSync(values.model).size,
  read(offset, length) {
    const bytes = new Uint8Array(length);
    return bytes.subarray(0, readSync(file, bytes, 0, length, offset));
  },
};

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

const engine = await glue.Engine.load(source, store, { device: "cpu", seed: 0 }, () => {});
closeSync(file);
// About 128 tokens with the template's own; each run has its own first words, so that nothing is reused.
const text = "The tower is old and its stones are worn by the wind and by the rain of many years. ".repeat(4);
const answers = [];
for (let run = 0; run <= Number(values.runs); run += 1) {
  const messages = [{ role: "system", content: `Run ${run}.` }, { role: "user", content: `${text} Tell me a story.` }];
  const answer = await engine.chat(messages, { temperature: 0, tokens_max: 48 }, () => {});
  // The first run lets V8 compile.
  if (run > 0) answers.push(answer);
}
const median = (of) => answers.map(of).sort((a, b) => a - b)[answers.length >> 1];
console.log(JSON.stringify({
  node: process.version,
  prompt_tokens: median((a) => a.prompt_tokens - a.reused_tokens),
  prefill_tokens_per_s: median((a) => a.prefill_tokens_per_s),
  decode_tokens_per_s: median((a) => a.decode_tokens_per_s),
  generated_tokens: median((a) => a.generated_tokens),
}));
process.exit(0);
