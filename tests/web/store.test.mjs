/**
 * The page's store, its source, and the ways a model comes in, without an engine.
 *
 * It knows nothing of what an engine keeps. It needs no model and runs the same everywhere.
 */

import assert from "node:assert/strict";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { launch, MOCK_MODEL, open, PATIENCE_MS, ready, serveMock } from "./harness.mjs";

async function setUp(t, options) {
  const server = await serveMock(options);
  const browser = await launch();
  t.after(async () => {
    await browser.close();
    await server.close();
  });
  const page = await open(await browser.newContext(), server.url);
  if (server.announced) await page.getByRole("button", { name: "Begin", exact: true }).click();
  return { server, page };
}

const words = (page) => page.locator("[data-stage=failed] .detail").innerText();

test("the store and the source keep their promises", { timeout: PATIENCE_MS }, async (t) => {
  const { page } = await setUp(t, { engine: "store-check.js" });
  assert.equal(await words(page), "All promises held.");
});

test(
  "without a model the page asks for a file, and runs it",
  { timeout: PATIENCE_MS },
  async (t) => {
    const { page } = await setUp(t, { model: null });
    await page.getByRole("heading", { name: "Bring a model" }).waitFor();
    // A test cannot press the browser's own picker; without it the page takes an input's.
    await page.evaluate(() => delete window.showOpenFilePicker);
    const chooser = page.waitForEvent("filechooser");
    await page.getByRole("button", { name: "Open a model file" }).click();
    const file = { name: "mine.gguf", mimeType: "application/octet-stream", buffer: MOCK_MODEL };
    await (await chooser).setFiles(file);
    await ready(page);
  },
);

test("a model that is not the one announced is refused", { timeout: PATIENCE_MS }, async (t) => {
  const { page } = await setUp(t, { announce: { sha256: "0".repeat(64) } });
  assert.match(await words(page), /not the one announced \(sha256 [0-9a-f]{64}\)\./);
});

test(
  "a download that ends early is refused, and tried again from the page",
  { timeout: PATIENCE_MS },
  async (t) => {
    const { page, server } = await setUp(t, { announce: { bytes: MOCK_MODEL.length + 1 } });
    assert.match(await words(page), /ended at 300000 of 300001 bytes/);
    server.announced.bytes = MOCK_MODEL.length;
    await page.getByRole("button", { name: "Try again" }).click();
    await ready(page);
  },
);

test(
  "a model by its path is fetched once, and only from here",
  { timeout: PATIENCE_MS },
  async (t) => {
    // Any file does: the stand-in engine reads bytes, not tensors.
    const files = { "/small.gguf": fileURLToPath(import.meta.url) };
    const { page, server } = await setUp(t, { model: null, files });
    const gets = () =>
      server.requests.filter(({ path, method }) => path === "/small.gguf" && method === "GET");
    await page.goto(`${server.url}?model=/small.gguf`);
    await ready(page);
    await page.reload();
    await ready(page);
    assert.equal(gets().length, 1);
    await page.goto(`${server.url}?model=https://example.invalid/model.gguf`);
    assert.match(await words(page), /is not on this page's own origin/);
  },
);
