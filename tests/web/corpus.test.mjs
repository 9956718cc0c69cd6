/**
 * The fuzzers' corpora in the page: every hostile model and adapter goes to the real readers, in the page's own worker.
 *
 * It knows nothing of what is wrong with a file. Invariant: each file is taken in or refused with one line; the worker, the
 * page and the model that is loaded live on.
 */

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { ask, mocked, open, PATIENCE_MS, ready, serveSmall, stage } from "./harness.mjs";

const root = fileURLToPath(new URL("../..", import.meta.url));
const { zipSync } = createRequire(`${root}www/package.json`)("fflate");
const here = stage(serveSmall);

/** A corpus' files, in order. */
function corpus(folder) {
  const path = `${root}fuzz/corpus/${folder}/`;
  const names = readdirSync(path).sort();
  assert.ok(names.length >= 8, `${folder} is there`);
  return names.map((name) => ({ name: name.replace(".bin", ""), bytes: readFileSync(path + name) }));
}

/** A PEFT adapter as the page takes it: a zip of two files. */
function zipped({ name, bytes }) {
  const end = 4 + bytes.readUInt32LE(0);
  const files = {
    "adapter_config.json": bytes.subarray(4, end),
    "adapter_model.safetensors": bytes.subarray(end),
  };
  return { name, bytes: Buffer.from(zipSync(files, { level: 0 })) };
}

/** Hands files to the worker's own calls, one after another; gives what became of each. */
function handIn(worker, method, files) {
  const packed = files.map(({ name, bytes }) => [name, bytes.toString("base64")]);
  return worker.evaluate(
    async ([method, files]) => {
      const call = (method, params) =>
        new Promise((resolve) => {
          const id = `corpus-${Math.random()}`;
          const { postMessage } = self;
          self.postMessage = (reply) => {
            if (reply.id !== id || "event" in reply) return;
            self.postMessage = postMessage;
            resolve(reply.error?.message ?? "taken");
          };
          self.onmessage({ data: { id, method, params } });
        });
      const told = [];
      for (const [name, text] of files) {
        const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
        const model = { kind: "file", file: new File([bytes], `${name}.gguf`) };
        const engine = { script: "/engine/apprentice.js", wasm: null };
        const base = `${self.location.origin}/`;
        const load = { base, engine, storage: "", device: "cpu", model, suitesPath: null, patient: false };
        const params = method === "load" ? load : { bytes, note: name };
        told.push([name, await call(method, params)]);
      }
      // Still there: an engine whose module has trapped answers nothing.
      told.push(["the engine", await call("info", null)]);
      return told;
    },
    [method, packed],
  );
}

function judge(told) {
  for (const [name, said] of told) {
    assert.doesNotMatch(said, /unreachable|RuntimeError|panicked|memory access|recursive use/i, name);
    assert.ok(said.trim().length > 0 && said.length < 2_000, `${name}: ${said}`);
    assert.ok(!said.trim().includes("\n"), `${name} is refused in one line: ${said}`);
  }
}

async function visit() {
  const context = await here.browser.newContext();
  const page = await open(context, `${here.server.url}?device=cpu&tokens_max=8${here.server.query}`);
  await ready(page);
  return { context, page, worker: page.workers()[0] };
}

test(
  "models and adapters that lie are refused in one line, and the engine lives on",
  { skip: mocked, timeout: 2 * PATIENCE_MS },
  async (t) => {
    const { context, page, worker } = await visit();
    const models = [...corpus("gguf"), ...corpus("tokenizer")];
    const refused = await handIn(worker, "load", models);
    judge(refused);
    assert.ok(!refused.slice(0, -1).some(([, said]) => said === "taken"), "none is a whole model");
    const gguf = await handIn(worker, "importVersion", corpus("gguf_adapter"));
    const peft = await handIn(worker, "importVersion", corpus("adapter").map(zipped));
    judge([...gguf, ...peft]);
    // A safetensors file without its wrapping, and zips that are cut.
    const cut = corpus("adapter").map(zipped).map(({ name, bytes }) => {
      return { name, bytes: bytes.subarray(0, bytes.length - 30) };
    });
    judge(await handIn(worker, "importVersion", [...corpus("adapter"), ...cut]));
    t.diagnostic(`${models.length} models, ${gguf.length + peft.length - 2} adapters`);
    assert.ok((await ask(page, here.server.lesson.prompt)).length > 0, "it answers as before");
    assert.deepEqual(page.faults, []);
    await context.close();
  },
);
