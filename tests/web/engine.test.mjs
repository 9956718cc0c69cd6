/**
 * What only the real engine can show, on the small model: questions between training steps, a damaged
 * adapter, a GPU that is destroyed, and learning that moves to another browser.
 *
 * It knows nothing of the engine's inside. Invariant: versions are compared by their adapters' hashes.
 */

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";
import {
  ask,
  correct,
  frozen,
  inWorker,
  kill,
  learn,
  learnNow,
  mocked,
  open,
  PATIENCE_MS,
  prepared,
  ready,
  serveSmall,
  show,
  stage,
} from "./harness.mjs";

const here = stage(serveSmall);

/** The hash of what a cycle that nobody disturbs makes of the lesson; made once. */
let undisturbed;
function wanted() {
  undisturbed ??= (async () => {
    const { context, page } = await visit("cpu");
    await taught(page);
    await learn(page);
    const [hash] = await adapters(page);
    await context.close();
    assert.ok(hash, "the cycle made a version");
    return hash;
  })();
  return undisturbed;
}

const OPTIONS = "&temperature=0&tokens_max=48&sample=4&steps_max=40";
const addressOf = (device) => `${here.server.url}?device=${device}${OPTIONS}${here.server.query}`;

async function visit(device, prepare = async () => undefined) {
  const context = await here.browser.newContext({ acceptDownloads: true });
  await prepare(context);
  const page = await open(context, addressOf(device));
  await ready(page);
  return { context, page };
}

async function taught(page) {
  const untaught = await ask(page, here.server.lesson.prompt);
  await correct(page, here.server.lesson.answer);
  return untaught;
}

/** The adapters' hashes of all versions, as the page's database has them. */
function adapters(page) {
  return page.evaluate(async () => {
    const result = (request) =>
      new Promise((resolve, reject) => {
        request.onsuccess = () => resolve(request.result);
        request.onerror = () => reject(request.error);
      });
    const database = await result(indexedDB.open("apprentice"));
    const rows = await result(database.transaction("versions").objectStore("versions").getAll());
    database.close();
    return rows.map((bytes) => JSON.parse(new TextDecoder().decode(bytes)).adapter);
  });
}

/**
 * Writes down what goes to the worker and what comes from it, in the page, and calls `atStep` once at
 * the first step: a test that watched the page for a step could miss all of a short training.
 */
function overhear() {
  globalThis.heard = [];
  globalThis.atStep = null;
  const note = (what, step) => globalThis.heard.push({ what, step, at_ms: performance.now() });
  globalThis.Worker = class extends Worker {
    #chats = new Set();
    constructor(...options) {
      super(...options);
      this.addEventListener("message", ({ data: { id, event } }) => {
        if (event?.type === "step") {
          note("step", event.step);
          globalThis.atStep?.();
          globalThis.atStep = null;
        }
        if (event?.type === "resumed") note("resumed", event.step);
        if (event === "frozen") note("frozen");
        if (typeof event === "string" && this.#chats.delete(id)) note("token");
      });
    }
    postMessage(request) {
      if (request.method === "chat") {
        this.#chats.add(request.id);
        note("question");
      }
      super.postMessage(request);
    }
  };
}

test(
  "questions are answered between steps, and change nothing of what is learned",
  { skip: mocked, timeout: 4 * PATIENCE_MS },
  async (t) => {
    const hash = await wanted();
    const { context, page } = await visit("cpu", (context) => context.addInitScript(overhear));
    const untaught = await taught(page);
    await page.getByRole("button", { name: "New conversation", exact: true }).click();
    await page.getByRole("textbox", { name: "Message" }).fill(here.server.lesson.prompt);
    await page.getByRole("button", { name: "Send" }).evaluate((send) => {
      globalThis.atStep = () => send.click();
    });
    await page.getByRole("button", { name: "Learn now" }).click();
    const answered = page
      .locator(".answer")
      .last()
      .getByRole("button", { name: "Edit to correct" });
    await answered.waitFor();
    // HEAD answers, and not what is being trained.
    assert.equal((await page.locator(".answer .prose").last().innerText()).trim(), untaught);
    await page.getByRole("article", { name: "Verdict" }).waitFor();
    const heard = await page.evaluate(() => globalThis.heard);
    // The first question was the one that was corrected; later ones are the tour's.
    const first = heard.findIndex(({ what }) => what === "question");
    const question = heard.findIndex(({ what }, row) => what === "question" && row > first);
    const rest = heard.slice(question);
    const token = rest.findIndex(({ what }) => what === "token");
    assert.ok(
      heard.slice(0, question).some(({ what }) => what === "step"),
      "training was on",
    );
    assert.ok(token > 0, "the answer came");
    const waited_ms = rest[token].at_ms - rest[token - 1].at_ms;
    t.diagnostic(`first word ${waited_ms.toFixed(0)} ms after the step or question before it`);
    // A step was under way, and the next may have begun before the question was heard.
    const steps = rest.slice(0, token).filter(({ what }) => what === "step").length;
    assert.ok(steps <= 2, `${steps} steps came before the answer`);
    assert.ok(
      rest.slice(token).some(({ what }) => what === "step"),
      "training went on behind it",
    );
    assert.deepEqual(await adapters(page), [hash]);
    assert.deepEqual(page.faults, []);
    await context.close();
  },
);

const CUTS = {
  "in the middle of training": (event, kept) => event.type === "step" && kept > 0 && event.step >= kept + 2,
  "in the evaluation": (event, kept) => event.type === "suite" && event.scale > 0 && kept > 0,
};
for (const [where, when] of Object.entries(CUTS)) {
  test(
    `a tab killed ${where} goes on from its last kept step, and learns the same bit for bit`,
    { skip: mocked, timeout: 4 * PATIENCE_MS },
    async (t) => {
      const hash = await wanted();
      const slow = frozen(when, 100);
      const { context, page } = await visit("cpu", async (context) => {
        await inWorker(context, slow);
        await context.addInitScript(overhear);
      });
      await taught(page);
      await learnNow(page);
      await page.waitForFunction(() => globalThis.heard.some(({ what }) => what === "frozen"));
      await context.unrouteAll();
      await kill(page);
      const again = await open(context, addressOf("cpu"));
      await ready(again);
      await again.getByText(/^Learning was interrupted\. Under Learn, Resume goes on from step/).waitFor();
      await show(again, "Learn");
      const kept = await again.getByText(/^Step \d+ of at most 40 is kept/).innerText();
      const step = Number(/\d+/.exec(kept)[0]);
      assert.ok(step > 0);
      assert.deepEqual(await adapters(again), []);
      assert.equal(await learn(again), "Learned");
      const heard = await again.evaluate(() => globalThis.heard);
      assert.equal(heard.find(({ what }) => what === "resumed").step, step);
      const [first] = heard.filter(({ what }) => what === "step");
      // Cut off behind the last step, there is none left.
      if (first) assert.equal(first.step, step + 1);
      else assert.equal(where, "in the evaluation");
      t.diagnostic(`went on at step ${step}`);
      assert.deepEqual(await adapters(again), [hash]);
      assert.equal(await again.getByText("Learning was interrupted", { exact: true }).count(), 0);
      assert.deepEqual(again.faults, []);
      await context.close();
    },
  );
}

test(
  "a damaged adapter is noticed, its parent answers, and a person is told",
  { skip: mocked, timeout: 3 * PATIENCE_MS },
  async () => {
    const { context, page } = await visit("cpu");
    const untaught = await taught(page);
    assert.equal(await learn(page), "Learned");
    await page.goto(`${here.server.url}icon.svg`);
    await page.evaluate(async () => {
      const root = await navigator.storage.getDirectory();
      const blobs = await root.getDirectoryHandle("adapters");
      for await (const handle of blobs.values()) {
        const writer = await handle.createWritable({ keepExistingData: true });
        await writer.write({ type: "write", position: 2_000, data: new Uint8Array([255, 0, 255]) });
        await writer.close();
      }
    });
    await page.goto(addressOf("cpu"));
    await ready(page);
    await show(page, "Versions");
    await page
      .getByRole("list", { name: "Warnings" })
      .getByText(/damaged/)
      .waitFor();
    await page.getByRole("listitem", { name: "Base model" }).getByText("Answers now").waitFor();
    assert.equal(await ask(page, here.server.lesson.prompt), untaught);
    // The lesson is still there to be learned again.
    assert.equal(await learn(page), "Learned");
    assert.equal(await ask(page, here.server.lesson.prompt), here.server.lesson.answer);
    await context.close();
  },
);

const KEEP_DEVICES = `
  globalThis.devices = [];
  const { requestDevice } = GPUAdapter.prototype;
  GPUAdapter.prototype.requestDevice = async function (...options) {
    const device = await requestDevice.apply(this, options);
    globalThis.devices.push(device);
    return device;
  };`;
const destroy = async (page) => {
  const [worker] = page.workers();
  await worker.evaluate(() => globalThis.devices.at(-1).destroy());
};

test(
  "a GPU that is destroyed while it answers or learns is rebuilt, and nothing is lost",
  { skip: mocked, timeout: 6 * PATIENCE_MS },
  async () => {
    const { context, page } = await visit("gpu", (context) => inWorker(context, KEEP_DEVICES));
    const untaught = await taught(page);
    await prepared(page, here.server.query, addressOf("gpu"));
    await page.getByRole("button", { name: "New conversation", exact: true }).click();
    await destroy(page);
    assert.equal(await ask(page, here.server.lesson.prompt), untaught);
    await learnNow(page);
    await page.getByText(/^Step [2-9](?!.*is kept)/).waitFor();
    await destroy(page);
    await page.getByText(/The GPU was lost while learning. It is back, nothing changed/).waitFor();
    await page.getByRole("button", { name: "Dismiss" }).click();
    await show(page, "Versions");
    await page.getByRole("listitem", { name: "Base model" }).getByText("Answers now").waitFor();
    // The lesson waits as before, and HEAD answers as before.
    await show(page, "Learn");
    await page.getByText("1 lesson waits to be learned.").waitFor();
    assert.equal(await ask(page, here.server.lesson.prompt), untaught);
    await context.close();
  },
);

async function saved(page, press) {
  const download = page.waitForEvent("download");
  await press();
  const file = await download;
  return { name: file.suggestedFilename(), buffer: await readFile(await file.path()) };
}

async function chosen(page, button, file) {
  const chooser = page.waitForEvent("filechooser");
  await page.getByRole("button", { name: button, exact: true }).click();
  await (await chooser).setFiles({ mimeType: "application/octet-stream", ...file });
}

test(
  "learning moves to another browser whole, or as one version",
  { timeout: 4 * PATIENCE_MS },
  async () => {
    const first = await visit("cpu");
    await taught(first.page);
    assert.equal(await learn(first.page), "Learned");
    await show(first.page, "Data");
    const panel = first.page.getByRole("region", { name: "Data" });
    const home = await saved(first.page, () =>
      panel.getByRole("button", { name: "Export" }).click(),
    );
    await show(first.page, "Versions");
    const version = await saved(first.page, async () => {
      await first.page
        .getByRole("button", { name: /^Export Version/ })
        .first()
        .click();
      await first.page.getByRole("button", { name: "For Apprentice" }).click();
    });
    await first.context.close();

    const there = await visit("cpu");
    const { page } = there;
    const broken = { ...home, buffer: Buffer.from(home.buffer) };
    broken.buffer[broken.buffer.length >> 1] ^= 1;
    await show(page, "Data");
    await chosen(page, "Import", broken);
    await page.getByText(/damaged or not whole; nothing was changed/).waitFor();
    await page.getByRole("button", { name: "Dismiss" }).click();
    await chosen(page, "Import", home);
    await page.getByText("What the file held is here now.").waitFor();
    assert.equal(await ask(page, here.server.lesson.prompt), here.server.lesson.answer);
    await show(page, "Data");
    await page
      .getByRole("list", { name: "Stored examples" })
      .getByText(here.server.lesson.answer)
      .waitFor();
    await page.getByRole("button", { name: "Erase", exact: true }).click();
    await page.getByRole("button", { name: "Erase everything" }).click();
    await page.getByText("Nothing is left here.").waitFor();
    assert.notEqual(await ask(page, here.server.lesson.prompt), here.server.lesson.answer);
    assert.deepEqual(await adapters(page), []);

    await show(page, "Versions");
    const other = Buffer.from(
      version.buffer.toString("latin1").replace(/"base_hash":"./, '"base_hash":"x'),
      "latin1",
    );
    await chosen(page, "Import a version", { ...version, buffer: other });
    await page.getByText(/was made for .* \(sha256 x/).waitFor();
    await page.getByRole("button", { name: "Dismiss" }).click();
    await chosen(page, "Import a version", version);
    await page.getByText(/is in the history/).waitFor();
    // What comes from elsewhere answers only after the gate let it in.
    await page.getByRole("button", { name: /^Examine and take in: Version/ }).click();
    const verdict = page.getByRole("article", { name: "Verdict" });
    await verdict.waitFor();
    assert.equal(await verdict.getByRole("heading").innerText(), "Learned");
    assert.equal(await ask(page, here.server.lesson.prompt), here.server.lesson.answer);
    await there.context.close();
  },
);
