/**
 * Conversations as a person uses them, on the stand-in engine: kept, found, renamed, deleted,
 * exported; turns asked otherwise, again, further; keys, context and sides.
 *
 * It knows nothing of models. Invariant: every check goes through what can be pressed and read.
 */

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";
import { ask, correct, learn, open, PATIENCE_MS, ready, serveMock, stage } from "./harness.mjs";

const RAINBOW = "Explain a rainbow in two sentences.";
const SIZE = { viewport: { width: 1280, height: 800 } };
const here = stage(serveMock);

async function visit(options = {}, query = "") {
  const context = await here.browser.newContext({ ...SIZE, ...options });
  const page = await open(context, `${here.server.url}?device=cpu${query}`);
  await ready(page);
  return { context, page };
}

const threads = (page) => page.getByRole("list", { name: "Conversations" });
const turns = (page, name) => page.getByRole("article", { name });
const send = async (page, text) => {
  await page.getByRole("textbox", { name: "Message" }).fill(text);
  await page.keyboard.press("Enter");
  await page.getByRole("button", { name: "Send" }).waitFor();
};

test(
  "conversations are kept, found, renamed, exported and deleted",
  { timeout: PATIENCE_MS },
  async () => {
    const { context, page } = await visit({ acceptDownloads: true });
    await ask(page, "What is a kestrel?");
    await send(page, "And an owl?");
    await ask(page, "How does rust form?");
    const titles = () => threads(page).locator(".thread-title").allInnerTexts();
    assert.deepEqual(await titles(), ["How does rust form?", "What is a kestrel?"]);
    await page.reload();
    await ready(page);
    assert.deepEqual(await titles(), ["How does rust form?", "What is a kestrel?"]);
    await turns(page, "You").getByText("How does rust form?").waitFor();

    // A word of a later turn finds it too.
    await page.getByRole("searchbox", { name: "Search conversations" }).fill("OWL");
    assert.deepEqual(await titles(), ["What is a kestrel?"]);
    await threads(page)
      .getByRole("button", { name: /^What is a kestrel/ })
      .click();
    assert.equal(await turns(page, "You").count(), 2);

    await page.getByRole("button", { name: "Rename: What is a kestrel?" }).click();
    await page.getByRole("textbox", { name: "Title" }).fill("Birds");
    await page.keyboard.press("Enter");
    await page.getByRole("heading", { name: "Birds" }).waitFor();
    const saved = page.waitForEvent("download");
    await page.getByRole("button", { name: "Export: Birds" }).click();
    const file = await saved;
    assert.equal(file.suggestedFilename(), "birds.md");
    const text = await readFile(await file.path(), "utf8");
    assert.match(text, /^# Birds\n\n\*\*You\*\*\n\nWhat is a kestrel\?\n/);

    await page.getByRole("button", { name: "Delete: Birds" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Delete" }).click();
    await page.getByRole("searchbox").fill("");
    assert.deepEqual(await titles(), ["How does rust form?"]);
    await page.reload();
    await ready(page);
    assert.deepEqual(await titles(), ["How does rust form?"]);
    assert.deepEqual(page.faults, []);
    await context.close();
  },
);

test(
  "a question in the middle is asked otherwise in a copy; the last one in its place",
  { timeout: PATIENCE_MS },
  async () => {
    const { context, page } = await visit();
    await ask(page, "One?");
    await send(page, "Two?");
    const edit = async (row, text) => {
      await turns(page, "You").nth(row).hover();
      await turns(page, "You").nth(row).getByRole("button", { name: "Edit question" }).click();
      await page.getByRole("textbox", { name: "Edited question" }).fill(text);
      await page.getByRole("button", { name: "Ask again" }).click();
      await turns(page, "Apprentice").getByText(text).waitFor();
      await page.getByRole("button", { name: "Send" }).waitFor();
    };
    await edit(1, "Three?");
    assert.deepEqual(await turns(page, "You").allInnerTexts(), ["One?", "Three?"]);
    assert.equal(await threads(page).getByRole("listitem").count(), 1);
    await edit(0, "Four?");
    assert.deepEqual(await turns(page, "You").allInnerTexts(), ["Four?"]);
    await threads(page).getByRole("button", { name: /^One/ }).click();
    assert.deepEqual(await turns(page, "You").allInnerTexts(), ["One?", "Three?"]);
    assert.deepEqual(page.faults, []);
    await context.close();
  },
);

test(
  "an answer is cut, goes on, is asked again, and is changed without a lesson",
  { timeout: PATIENCE_MS },
  async () => {
    const { context, page } = await visit({}, "&tokens_max=4");
    assert.equal(await ask(page, RAINBOW), "A rainbow appears when");
    await page.getByText("Cut at the length limit").waitFor();
    await page.getByRole("button", { name: "Continue" }).click();
    await turns(page, "Apprentice").getByText("bends").waitFor();
    const text = await turns(page, "Apprentice").locator(".prose").innerText();
    assert.match(text, /^A rainbow appears when sunlight enters raindrops, bends,$/);
    await page.getByRole("button", { name: "Answer again" }).click();
    await page
      .locator(".prose")
      .getByText(/^A rainbow appears when$/)
      .waitFor();
    await page.getByRole("button", { name: "Edit to correct" }).click();
    await page.getByRole("textbox", { name: "Corrected answer" }).fill("A rainbow is when");
    await page.getByRole("button", { name: "Change only here" }).click();
    await page.getByText("What was changed").click();
    assert.equal(await page.locator(".changes del").first().innerText(), "appears");
    assert.equal(await page.locator(".changes ins").first().innerText(), "is");
    await page.getByText("Nothing to learn yet.").waitFor();
    assert.deepEqual(page.faults, []);
    await context.close();
  },
);

test("the answers before and after stand side by side", { timeout: PATIENCE_MS }, async () => {
  const { context, page } = await visit();
  const { prompt, answer } = here.server.lesson;
  const untaught = await ask(page, prompt);
  await correct(page, answer);
  await learn(page);
  await page.getByRole("button", { name: "Compare with the base model" }).click();
  const side = (name) => page.getByRole("region", { name }).locator(".prose");
  await side(/^Yours/)
    .getByText(answer)
    .waitFor();
  assert.equal((await side("Base model").innerText()).trim(), untaught);
  await context.close();
});

test("code has its language and is copied", { timeout: PATIENCE_MS }, async () => {
  const { context, page } = await visit({ permissions: ["clipboard-read", "clipboard-write"] });
  await ask(page, RAINBOW);
  await page.getByRole("button", { name: "Copy code" }).click();
  await page.getByRole("button", { name: "Copied" }).waitFor();
  const copied = () => page.evaluate(() => navigator.clipboard.readText());
  assert.equal((await copied()).trim(), "angle = 42°");
  await page.getByRole("button", { name: "Copy answer" }).click();
  assert.match(await copied(), /^A rainbow appears when \*\*sunlight/);
  await context.close();
});

test("markup of a model runs and loads nothing", { timeout: PATIENCE_MS }, async () => {
  const { context, page } = await visit();
  const asked = [];
  context.on("request", (request) => asked.push(request.url()));
  const evil =
    '<img src="/evil.png" onerror="globalThis.evil=1"><script>globalThis.evil=1</script>' +
    '<a href="javascript:globalThis.evil=1">x</a><iframe src="/evil"></iframe>' +
    '<p class="notice failed" style="position:fixed">y</p><form action="/evil"><button>z</button></form>';
  await ask(page, evil);
  const prose = turns(page, "Apprentice").locator(".prose");
  assert.equal(
    await prose.locator("img, script, iframe, form, [style], [onerror], .notice").count(),
    0,
  );
  assert.equal(await prose.locator("a[href]").count(), 0);
  assert.equal(await page.evaluate(() => globalThis.evil), undefined);
  assert.deepEqual(
    asked.filter((address) => address.includes("evil")),
    [],
  );
  await context.close();
});

test("system prompt and sampling belong to a conversation", { timeout: PATIENCE_MS }, async () => {
  const { context, page } = await visit();
  await ask(page, "Who are you?");
  await page.getByRole("button", { name: "Conversation settings" }).click();
  await page.getByRole("textbox", { name: /^System prompt/ }).fill("You are a clerk.");
  await page.getByRole("spinbutton", { name: "Longest answer, tokens" }).fill("3");
  await page.keyboard.press("Tab");
  await page.keyboard.press("Escape");
  await send(page, RAINBOW);
  assert.equal((await page.locator(".prose").last().innerText()).trim(), "A rainbow appears");
  // The stand-in counts twelve tokens a message: system, two questions, one answer.
  await page.getByText("57 of 8192").waitFor();
  await page.reload();
  await ready(page);
  await page.getByRole("button", { name: "Conversation settings" }).click();
  const system = page.getByRole("textbox", { name: /^System prompt/ });
  assert.equal(await system.inputValue(), "You are a clerk.");
  await context.close();
});

test("all of it by keys, and letters can be switched off", { timeout: PATIENCE_MS }, async () => {
  const { context, page } = await visit();
  await page.locator("body").click({ position: { x: 640, y: 30 } });
  await page.keyboard.press("/");
  await page.keyboard.type("Who? n/?");
  await page.keyboard.press("Enter");
  await turns(page, "Apprentice").getByText("Who? n/?").waitFor();
  await page.getByRole("button", { name: "Send" }).waitFor();
  await page.evaluate(() => document.activeElement.blur());
  await page.keyboard.press("e");
  await page.getByRole("textbox", { name: "Corrected answer" }).fill("Me.");
  await page.keyboard.press("Control+Enter");
  await page.getByText("Corrected", { exact: true }).waitFor();
  await page.evaluate(() => document.activeElement.blur());
  await page.keyboard.press("3");
  await page.getByRole("region", { name: "Versions" }).waitFor();
  await page.keyboard.press("?");
  await page.getByRole("switch", { name: "Single letters" }).uncheck();
  await page.keyboard.press("Escape");
  await page.evaluate(() => document.activeElement.blur());
  await page.keyboard.press("2");
  assert.equal(await page.getByRole("region", { name: "Versions" }).isVisible(), true);
  assert.deepEqual(page.faults, []);
  await context.close();
});

test("Escape stops an answer", { timeout: PATIENCE_MS }, async () => {
  const { context, page } = await visit();
  await page.getByRole("textbox", { name: "Message" }).fill("word ".repeat(500));
  await page.keyboard.press("Enter");
  await page.locator(".answer.streaming .prose p").waitFor();
  await page.keyboard.press("Escape");
  await page.getByText("Stopped", { exact: true }).waitFor();
  await context.close();
});

test(
  "the conversation that the page's first version kept is taken over",
  { timeout: PATIENCE_MS },
  async () => {
    const context = await here.browser.newContext(SIZE);
    const page = await open(context, `${here.server.url}icon.svg`);
    await page.evaluate(async () => {
      const request = indexedDB.open("apprentice-page", 1);
      request.onupgradeneeded = () => request.result.createObjectStore("conversations");
      await new Promise((resolve) => (request.onsuccess = resolve));
      const transaction = request.result.transaction("conversations", "readwrite");
      const old = [
        { role: "user", content: "An old question?" },
        { role: "assistant", content: "An old answer." },
      ];
      transaction.objectStore("conversations").put(old, "current");
      await new Promise((resolve) => (transaction.oncomplete = resolve));
      request.result.close();
    });
    await page.goto(here.server.url);
    await ready(page);
    await turns(page, "Apprentice").getByText("An old answer.").waitFor();
    await threads(page)
      .getByRole("button", { name: /^An old question/ })
      .waitFor();
    await context.close();
  },
);
