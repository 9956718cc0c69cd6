/**
 * What the page survives, on the stand-in engine and the page's own stores: a killed tab in every
 * phase, a full disk in the commit, a browser that keeps nothing, no network, a lost GPU.
 *
 * It knows nothing of models. Invariant: after each, what was taught is there, HEAD is a whole
 * version, and the loop goes on.
 */

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import {
  ask,
  correct,
  frozen,
  inWorker,
  kill,
  launch,
  learn,
  learnNow,
  open,
  PATIENCE_MS,
  ready,
  show,
  visitMock,
} from "./harness.mjs";

let browser;
before(async () => (browser = await launch()));
after(() => browser?.close());

const visit = (t, query, prepare) => visitMock(t, browser, { query, prepare });

async function taught(page, server) {
  await ready(page);
  await ask(page, server.lesson.prompt);
  await correct(page, server.lesson.answer);
}

/** The history as a person reads it: which entry answers. */
async function answering(page) {
  await show(page, "Versions");
  const current = page.locator(".entry.current h3");
  await current.waitFor();
  return current.innerText();
}

const PHASES = {
  training: (page) => page.getByText(/^Step [3-9](?!.*is kept)/).waitFor(),
  evaluation: (page) => page.getByText(/^(Core knowledge|Language|Target): /).waitFor(),
};

for (const [phase, reached] of Object.entries(PHASES)) {
  test(
    `a tab killed in ${phase} comes back with what it had`,
    { timeout: 2 * PATIENCE_MS },
    async (t) => {
      const { server, context, page } = await visit(t);
      await taught(page, server);
      await learnNow(page);
      await reached(page);
      await kill(page);
      const again = await open(context, server.url);
      await ready(again);
      await again.getByText(/^Learning was interrupted\. It begins anew/).waitFor();
      assert.equal(await answering(again), "Base model");
      await show(again, "Data");
      await again
        .getByRole("list", { name: "Stored examples" })
        .getByText(server.lesson.answer)
        .waitFor();
      assert.equal(await learn(again), "Learned");
      assert.match(await answering(again), /^Version /);
      assert.equal(await ask(again, server.lesson.prompt), server.lesson.answer);
      assert.deepEqual(again.faults, []);
    },
  );
}

test(
  "a tab killed in the commit has HEAD as before or as after",
  { timeout: 3 * PATIENCE_MS },
  async (t) => {
    // The write that moves HEAD is held up, so that the tab dies in the middle of it.
    const slow = `
    const put = IDBObjectStore.prototype.put;
    IDBObjectStore.prototype.put = function (value, key) {
      const request = put.call(this, value, key);
      if (this.name === "refs" && key === "HEAD") for (const until = Date.now() + 3000; Date.now() < until;);
      return request;
    };`;
    const { server, context, page } = await visit(t, "", (context) => inWorker(context, slow));
    await taught(page, server);
    await learnNow(page);
    await page.getByText("Keeping the result").waitFor();
    await page.waitForTimeout(500);
    await kill(page);
    const again = await open(context, server.url);
    await ready(again);
    const head = await answering(again);
    assert.match(head, /^(Base model|Version \w+)$/);
    await show(again, "Data");
    await again
      .getByRole("list", { name: "Stored examples" })
      .getByText(server.lesson.answer)
      .waitFor();
    if (head === "Base model") assert.equal(await learn(again), "Learned");
    assert.equal(await ask(again, server.lesson.prompt), server.lesson.answer);
  },
);

test(
  "a tab killed while it loads the model loads it again",
  { timeout: 2 * PATIENCE_MS },
  async (t) => {
    const loads = frozen((event) => event.phase === "weights" && event.done > 0);
    const { server, context, page } = await visit(t, "", (context) => inWorker(context, loads));
    await page.getByRole("button", { name: "Begin", exact: true }).click();
    await page.getByText(/^Putting the model onto the device/).waitFor();
    await context.unrouteAll();
    await kill(page);
    const again = await open(context, server.url);
    await taught(again, server);
    assert.equal(server.requests.filter(({ path }) => path === "/model.gguf").length, 1);
    assert.equal(await learn(again), "Learned");
  },
);

test(
  "a tab killed while it fetches goes on from there",
  { timeout: 2 * PATIENCE_MS },
  async (t) => {
    const { server, context, page } = await visit(t);
    server.cutAt(100_000);
    await page.getByRole("button", { name: "Begin", exact: true }).click();
    await page.getByText(/Fetching the model|was cut off/).waitFor();
    await kill(page);
    const again = await open(context, server.url);
    await ready(again);
    await taught(again, server);
  },
);

test(
  "a disk that is full in the commit leaves HEAD and lessons as they were",
  { timeout: 2 * PATIENCE_MS },
  async (t) => {
    const { server, context, page } = await visit(t);
    await taught(page, server);
    const devtools = await context.newCDPSession(page);
    const origin = new URL(server.url).origin;
    await learnNow(page);
    await PHASES.training(page);
    await devtools.send("Storage.overrideQuotaForOrigin", { origin, quotaSize: 1 });
    await page.locator(".notice.failed.shown").waitFor();
    assert.match(await page.locator(".notice-text").innerText(), /full|quota|storage/i);
    await page.getByRole("button", { name: "Dismiss" }).click();
    assert.equal(await answering(page), "Base model");
    await devtools.send("Storage.overrideQuotaForOrigin", { origin });
    await page.reload();
    await ready(page);
    assert.equal(await answering(page), "Base model");
    assert.equal(await learn(page), "Learned");
    assert.equal(await ask(page, server.lesson.prompt), server.lesson.answer);
  },
);

const REFUSALS = {
  OPFS: `Object.getPrototypeOf(navigator.storage).getDirectory = async () => {
    throw new DOMException("refused", "SecurityError"); };`,
  IndexedDB: `IDBFactory.prototype.open = () => { throw new DOMException("refused", "SecurityError"); };`,
};
for (const [what, line] of Object.entries(REFUSALS)) {
  test(
    `a browser that refuses ${what} runs it all, and says that nothing stays`,
    { timeout: 2 * PATIENCE_MS },
    async (t) => {
      const refuse = async (context) => {
        await inWorker(context, line);
        await context.addInitScript(line);
      };
      const { server, page } = await visit(t, "", refuse);
      await ready(page);
      await show(page, "Versions");
      await page.getByText(/keeps nothing here: what you teach is gone/).waitFor();
      const notice = page.getByRole("button", { name: "Dismiss" });
      if (await notice.isVisible()) await notice.click();
      await taught(page, server);
      assert.equal(await learn(page), "Learned");
      assert.equal(await ask(page, server.lesson.prompt), server.lesson.answer);
    },
  );
}

test(
  "without a network the page opens, answers and learns",
  { timeout: 2 * PATIENCE_MS },
  async (t) => {
    const { server, context, page } = await visit(t);
    await taught(page, server);
    await page.evaluate(() => navigator.serviceWorker.ready);
    await server.close();
    await page.reload();
    await ready(page);
    assert.equal(await learn(page), "Learned");
    assert.equal(await ask(page, server.lesson.prompt), server.lesson.answer);
    // A tab of its own, too, and with another query.
    await page.close();
    const other = await open(context, `${server.url}?device=cpu`);
    await ready(other);
    assert.equal(await ask(other, server.lesson.prompt), server.lesson.answer);
  },
);

test(
  "a GPU that is lost while it answers is brought back, and the question answered",
  { timeout: PATIENCE_MS },
  async (t) => {
    const { page } = await visit(t);
    await ready(page);
    assert.match(await ask(page, "First?"), /First/);
    const [worker] = page.workers();
    await worker.evaluate(() => void (globalThis.apprenticeLoseDevice = true));
    assert.match(await ask(page, "Second?"), /Second/);
    assert.equal(page.workers().length, 1);
  },
);

test("it learns by itself only when it may", { timeout: 2 * PATIENCE_MS }, async (t) => {
  const { page } = await visit(t, "?idle_ms=800", (context) =>
    context.addInitScript(() => {
      globalThis.battery = { charging: false, level: 0.2 };
      navigator.getBattery = async () => globalThis.battery;
    }),
  );
  await ready(page);
  for (const row of [1, 2, 3]) {
    await ask(page, `Question ${row}?`);
    await correct(page, `Answer ${row}.`);
  }
  const verdict = page.getByRole("article", { name: "Verdict" });
  await show(page, "Learn");
  // Off, then on with a low battery: neither begins.
  await page.waitForTimeout(1_800);
  assert.equal(await verdict.count(), 0);
  await page.getByRole("switch", { name: "Learn by itself when I am away" }).check();
  await page.waitForTimeout(1_800);
  assert.equal(await verdict.count(), 0);
  await page.evaluate(() => void (globalThis.battery.charging = true));
  await verdict.waitFor();
});
