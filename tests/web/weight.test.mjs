/**
 * What the page weighs without its model: every file that its service worker keeps, as the server
 * sends it.
 *
 * It knows nothing of what is in them. Invariant: a file that the worker names and the build lacks
 * fails the test, so nothing goes uncounted.
 */

import assert from "node:assert/strict";
import { readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";

const BYTES_MAX = 3_000_000;
const dist = process.env.APPRENTICE_DIST ?? new URL("../../www/dist", import.meta.url).pathname;

test("the page weighs under 3 MB on the way", async (t) => {
  const worker = await readFile(join(dist, "sw.js"), "utf8");
  const { files } = JSON.parse(/\{"version":.*?\]\}/.exec(worker)[0]);
  assert.ok(files.includes("index.html"), "the list has the page");
  assert.ok(
    files.some((name) => name.endsWith(".wasm")),
    "the list has the engine",
  );
  const sizes = files.map(async (name) => {
    const packed = await stat(join(dist, `${name}.gz`)).catch(() => null);
    return (packed ?? (await stat(join(dist, name)))).size;
  });
  const bytes = (await Promise.all(sizes)).reduce((sum, size) => sum + size, 0);
  t.diagnostic(`${files.length} files, ${bytes} bytes`);
  assert.ok(bytes < BYTES_MAX, `${bytes} bytes`);
});
