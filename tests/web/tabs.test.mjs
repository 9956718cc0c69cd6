/**
 * Several tabs and one engine, on the stand-in: one owns it, the others chat through it.
 *
 * It knows nothing of models. Invariant: at any time one tab holds the engine's lock, and no tab
 * loses what another taught.
 */

import assert from "node:assert/strict";
import { test } from "node:test";
import {
  ask,
  correct,
  launch,
  learn,
  open,
  PATIENCE_MS,
  ready,
  serveMock,
  show,
} from "./harness.mjs";

async function setUp(t) {
  const [server, browser] = await Promise.all([serveMock(), launch()]);
  t.after(async () => {
    await browser.close();
    await server.close();
  });
  const context = await browser.newContext();
  const address = `${server.url}?device=cpu`;
  const first = await open(context, address);
  await ready(first);
  const second = await open(context, address);
  await ready(second);
  return { server, context, address, first, second };
}

const holders = (page) =>
  page.evaluate(async () => {
    const { held } = await navigator.locks.query();
    return held.filter(({ name }) => name === "apprentice-engine").length;
  });
const runsElsewhere = (page) => page.getByRole("button", { name: /^Runs in another tab/ });

test(
  "a second tab chats, teaches and learns through the first",
  { timeout: 2 * PATIENCE_MS },
  async (t) => {
    const { server, first, second } = await setUp(t);
    await runsElsewhere(second).waitFor();
    assert.equal(await runsElsewhere(first).isVisible(), false);
    assert.equal(await holders(second), 1);
    const { prompt, answer } = server.lesson;
    assert.notEqual(await ask(second, prompt), answer);
    await correct(second, answer);
    // The first tab sees what the second taught.
    await show(first, "Data");
    await first.getByRole("list", { name: "Stored examples" }).getByText(answer).waitFor();
    assert.equal(await learn(second), "Learned");
    await show(first, "Versions");
    await first
      .getByRole("listitem", { name: /^Version / })
      .getByText("Answers now")
      .waitFor();
    assert.equal(await ask(first, prompt), answer);
    assert.equal(await ask(second, prompt), answer);
    assert.deepEqual([...first.faults, ...second.faults], []);
  },
);

test("when the owner closes, the other takes over", { timeout: 2 * PATIENCE_MS }, async (t) => {
  const { server, first, second } = await setUp(t);
  const { prompt, answer } = server.lesson;
  await ask(first, prompt);
  await correct(first, answer);
  await first.close();
  await runsElsewhere(second).waitFor({ state: "hidden" });
  await ready(second);
  assert.equal(await holders(second), 1);
  await show(second, "Data");
  await second.getByRole("list", { name: "Stored examples" }).getByText(answer).waitFor();
  assert.equal(await learn(second), "Learned");
  assert.equal(await ask(second, prompt), answer);
  assert.deepEqual(second.faults, []);
});

test(
  "an owner that closes while it answers leaves the other's question unasked, and said so",
  { timeout: 2 * PATIENCE_MS },
  async (t) => {
    const { first, second } = await setUp(t);
    await second.getByRole("textbox", { name: "Message" }).fill("word ".repeat(400));
    await second.getByRole("button", { name: "Send" }).click();
    await second.locator(".answer.streaming .prose p").waitFor();
    await first.close();
    await second.getByText(/^The tab that ran the model was closed/).waitFor();
    await second.getByRole("button", { name: "Dismiss" }).click();
    await ready(second);
    assert.match(await second.getByRole("textbox", { name: "Message" }).inputValue(), /^word word/);
  },
);

test("a tab takes the engine from another by a button", { timeout: 2 * PATIENCE_MS }, async (t) => {
  const { first, second } = await setUp(t);
  await runsElsewhere(second).click();
  await runsElsewhere(first).waitFor();
  await ready(second);
  assert.equal(await runsElsewhere(second).isVisible(), false);
  assert.equal(await holders(first), 1);
  assert.match(await ask(first, "Still there?"), /Still there/);
});
