/**
 * Models on this device, on the stand-in engine: the first visit, downloads that are cut and go on,
 * room that is short, files that are listed, used and deleted, and what a browser cleared.
 *
 * It knows nothing of GGUF. Invariant: bytes that are here are never fetched again.
 */

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import {
  inWorker,
  launch,
  MOCK_MODEL,
  PATIENCE_MS,
  ready,
  show,
  visitMock,
} from "./harness.mjs";

/** Different bytes everywhere: a piece in the wrong place would be noticed. */
const MODEL = Buffer.from(
  Uint32Array.from({ length: 500_000 }, (_, row) => row * 2_654_435_761).buffer,
);
let browser;

before(async () => (browser = await launch()));
after(() => browser?.close());

const visit = (t, options, query) => visitMock(t, browser, { ...options, query });

const begin = (page) => page.getByRole("button", { name: "Begin", exact: true }).click();
const failure = (page) => page.locator("[data-stage=failed] .detail").innerText();
const ranges = ({ requests }) =>
  requests
    .filter(({ path, method }) => path === "/model.gguf" && method === "GET")
    .map(({ range }) => range);
async function models(page) {
  await page.getByRole("button", { name: /^Model and device/ }).click();
  await page.getByRole("button", { name: /^Models/ }).click();
  return page.getByRole("dialog", { name: "Models" });
}

test(
  "the first minute says what it is, what it costs, and asks once",
  { timeout: PATIENCE_MS },
  async (t) => {
    const { page, server } = await visit(t);
    await page.getByRole("heading", { name: /learns from your corrections/ }).waitFor();
    await page.getByText(/The download is 300 kB, and only this once\./).waitFor();
    assert.deepEqual(ranges(server), []);
    await begin(page);
    await ready(page);
    await page.reload();
    await page.getByRole("textbox", { name: "Message" }).waitFor();
    assert.equal(ranges(server).length, 1);
    assert.deepEqual(page.faults, []);
  },
);

test(
  "a download that is cut off goes on after a reload, and is whole",
  { timeout: PATIENCE_MS },
  async (t) => {
    const { page, server } = await visit(t, { model: MODEL });
    server.cutAt(900_000);
    await begin(page);
    assert.match(await failure(page), /was cut off; try again, it goes on from here/);
    await page.reload();
    await ready(page);
    const [first, second, ...more] = ranges(server);
    assert.equal(first, undefined);
    assert.deepEqual(more, []);
    const from = Number(/^bytes=(\d+)-$/.exec(second)?.[1]);
    assert.ok(from > 0 && from <= 900_000, `went on from ${second}`);
    // The stand-in hashes all bytes as it loads; the worker compares that with what was announced.
    const dialog = await models(page);
    await dialog.getByText("2.0 MB").waitFor();
  },
);

test(
  "a piece that was changed meanwhile is noticed, dropped, and fetched anew",
  { timeout: PATIENCE_MS },
  async (t) => {
    const { page, server } = await visit(t, { model: MODEL });
    server.cutAt(900_000);
    await begin(page);
    await failure(page);
    await page.evaluate(async () => {
      const root = await navigator.storage.getDirectory();
      const models = await root.getDirectoryHandle("models");
      for await (const [name, handle] of models.entries()) {
        if (!name.endsWith(".part")) continue;
        const writer = await handle.createWritable({ keepExistingData: true });
        await writer.write({ type: "write", position: 1_000, data: new Uint8Array([1, 2, 3]) });
        await writer.close();
      }
    });
    await page.reload();
    assert.match(await failure(page), /not the one announced/);
    await page.getByRole("button", { name: "Try again" }).click();
    await ready(page);
    assert.equal(ranges(server).at(-1), undefined);
  },
);

test(
  "a browser without room says so before the first byte",
  { timeout: PATIENCE_MS },
  async (t) => {
    const { page, server, context } = await visit(t, { model: MODEL });
    await inWorker(context, "navigator.storage.estimate = async () => ({ quota: 1e6, usage: 0 });");
    await begin(page);
    const wanted = /^The model needs 2 MB and this browser gives the page 1 MB more/;
    assert.match(await failure(page), wanted);
    assert.deepEqual(ranges(server), []);
  },
);

test(
  "a browser that tells no true room is caught when it takes no more",
  { timeout: PATIENCE_MS },
  async (t) => {
    const { page, server, context } = await visit(t, { model: MODEL });
    const devtools = await context.newCDPSession(page);
    const origin = new URL(server.url).origin;
    await devtools.send("Storage.overrideQuotaForOrigin", { origin, quotaSize: 1_000_000 });
    await begin(page);
    assert.match(await failure(page), /needs \d MB and this browser gives the page 0 MB more/);
    await devtools.send("Storage.overrideQuotaForOrigin", { origin });
    await page.getByRole("button", { name: "Try again" }).click();
    await ready(page);
    assert.match(ranges(server).at(-1) ?? "", /^bytes=\d+-$/);
  },
);

test(
  "models are listed with their sizes, used and deleted",
  { timeout: 2 * PATIENCE_MS },
  async (t) => {
    const { page } = await visit(t, { files: { "/other.gguf": import.meta.filename } });
    await begin(page);
    await ready(page);
    const own = await models(page);
    await own
      .getByRole("listitem")
      .filter({ hasText: "mock.gguf" })
      .getByText("Runs now")
      .waitFor();
    await own.getByRole("textbox", { name: "Address on this server" }).fill("/other.gguf");
    await own.getByRole("button", { name: "Load", exact: true }).click();
    await own.waitFor({ state: "hidden" });
    await ready(page);
    const both = await models(page);
    await both.getByRole("button", { name: "Use mock.gguf" }).click();
    await ready(page);
    const again = await models(page);
    await again.getByRole("button", { name: "Delete other.gguf" }).click();
    await again
      .getByRole("listitem")
      .filter({ hasText: "other.gguf" })
      .waitFor({ state: "detached" });
    const left = await page.evaluate(async () => {
      const root = await navigator.storage.getDirectory();
      return Array.fromAsync((await root.getDirectoryHandle("models")).keys());
    });
    assert.equal(left.filter((name) => name.endsWith(".gguf")).length, 1);
    assert.deepEqual(page.faults, []);
  },
);

test(
  "a model file of the disk is remembered where it lies",
  { timeout: PATIENCE_MS },
  async (t) => {
    const { page } = await visit(t);
    await page.waitForSelector(".begin");
    // The browser's own picker cannot be pressed: a handle of the same kind stands for its answer.
    await page.evaluate(
      async (bytes) => {
        const root = await navigator.storage.getDirectory();
        const handle = await root.getFileHandle("mine.gguf", { create: true });
        const writer = await handle.createWritable();
        await writer.write(new Uint8Array(bytes));
        await writer.close();
        window.showOpenFilePicker = async () => [handle];
      },
      [...MOCK_MODEL.subarray(0, 1_000)],
    );
    await page.getByRole("button", { name: "Open a model file" }).click();
    await ready(page);
    await page.reload();
    await page.getByRole("button", { name: "Begin", exact: true }).click();
    await ready(page);
    const dialog = await models(page);
    await dialog.getByText("1 kB, on your disk").waitFor();
    await dialog.getByRole("button", { name: "Use mine.gguf" }).click();
    await ready(page);
    const kept = await page.evaluate(async () => {
      const root = await navigator.storage.getDirectory();
      return Array.fromAsync((await root.getDirectoryHandle("models")).keys());
    });
    assert.equal(kept.filter((name) => name.endsWith(".gguf")).length, 1, "it was not copied");
  },
);

test("what the browser cleared is noticed and said", { timeout: PATIENCE_MS }, async (t) => {
  const { page, context, server } = await visit(t);
  await ready(page);
  await page.getByRole("textbox", { name: "Message" }).fill("Who?");
  await page.keyboard.press("Enter");
  await page.getByRole("button", { name: "Good answer" }).click();
  await page.locator(".mark-taught").waitFor();
  await page.goto(`${server.url}icon.svg`);
  const devtools = await context.newCDPSession(page);
  const origin = new URL(server.url).origin;
  // What eviction takes; local storage is not among it.
  const storageTypes = "indexeddb,file_systems,cache_storage,service_workers";
  await devtools.send("Storage.clearDataForOrigin", { origin, storageTypes });
  await page.goto(server.url);
  await page.getByText(/cleared the model to free space/).waitFor();
  await page.getByRole("button", { name: "Dismiss" }).click();
  await ready(page);
  await page.getByText(/cleared what was learned here/).waitFor();
  await show(page, "Data");
  await page.getByText("Nothing is stored yet.").waitFor();
});
