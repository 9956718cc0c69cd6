/**
 * The whole loop as a user lives it, on a small model: ask, correct, learn, roll back, come back.
 *
 * It knows nothing of the engine's inside; all goes through what a person can press and read.
 */

import assert from "node:assert/strict";
import { test } from "node:test";
import {
  ask,
  correct,
  learn,
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

const entry = (page, name) => page.getByRole("listitem", { name });

test(
  "a correction is learned, kept, rolled back, and survives a reload",
  { timeout: 4 * PATIENCE_MS },
  async () => {
    const { prompt, answer: wanted } = here.server.lesson;
    const context = await here.browser.newContext();
    const options = "temperature=0&tokens_max=48&sample=4&steps_max=8&lr=0.003";
    const address = `${here.server.url}?device=gpu&${options}${here.server.query}`;
    const page = await open(context, address);
    await ready(page);
    assert.match(await page.getByRole("button", { name: /^Model and device/ }).innerText(), /GPU/);

    const untaught = await ask(page, prompt);
    assert.notEqual(untaught, wanted);
    await correct(page, wanted);
    await page.getByText("One lesson waits to be learned.").waitFor();
    await prepared(page, here.server.query, address);
    assert.equal(await learn(page), "Learned");
    await show(page, "Learn");
    await page.getByRole("table").first().getByRole("rowheader").first().waitFor();

    assert.equal(await ask(page, prompt), wanted);

    await show(page, "Versions");
    const version = entry(page, /^Version /).first();
    const name = await version.getByRole("heading").innerText();
    await version.getByText("Answers now").waitFor();
    const base = entry(page, "Base model");
    await base.getByRole("button", { name: "Roll back to this" }).click();
    await base.getByText("Answers now").waitFor();
    assert.equal(await ask(page, prompt), untaught);

    await show(page, "Versions");
    await version.getByRole("button", { name: "Roll back to this" }).click();
    await version.getByText("Answers now").waitFor();

    here.server.requests.length = 0;
    await page.reload();
    await ready(page);
    const fetched = here.server.requests.filter(
      ({ path, method }) => path === "/model.gguf" && method === "GET",
    );
    assert.equal(fetched.length, 0, "the model is fetched once");
    await page.getByRole("article", { name: "You" }).getByText(prompt).waitFor();
    await show(page, "Versions");
    await entry(page, name).getByText("Answers now").waitFor();
    assert.equal(await ask(page, prompt), wanted);

    await show(page, "Data");
    const stored = page.getByRole("list", { name: "Stored examples" });
    await stored.getByText(wanted).waitFor();
    await stored
      .getByRole("button", { name: /^Forget/ })
      .first()
      .click();
    await stored.getByRole("button", { name: "Forget", exact: true }).click();
    await page.getByText("The example is forgotten.").waitFor();
    await stored.getByText(wanted).waitFor({ state: "detached" });

    await page.reload();
    await ready(page);
    await show(page, "Data");
    assert.equal(await stored.getByText(wanted).count(), 0);
    assert.deepEqual(page.faults, []);
    await context.close();
  },
);

test("an answer and a cycle can be stopped", { timeout: 2 * PATIENCE_MS }, async () => {
  const context = await here.browser.newContext();
  const page = await open(context, `${here.server.url}?device=gpu&temperature=0${here.server.query}`);
  await ready(page);
  await ask(page, here.server.lesson.prompt);
  await correct(page, here.server.lesson.answer);
  await show(page, "Learn");
  await page.getByRole("button", { name: "Learn now" }).click();
  await page.getByRole("button", { name: "Stop learning" }).click();
  await page.getByText("Learning was stopped. Nothing changed.").waitFor();
  await show(page, "Versions");
  await entry(page, "Base model").getByText("Answers now").waitFor();

  await page.getByRole("textbox", { name: "Message" }).fill(`${here.server.lesson.prompt} `.repeat(12));
  await page.getByRole("button", { name: "Send" }).click();
  await page.getByRole("button", { name: "Stop answering" }).click();
  await page.getByRole("button", { name: "Send" }).waitFor();
  assert.deepEqual(page.faults, []);
  await context.close();
});

/** The tunings that the engine keeps in the page's database. */
async function tunings(page) {
  const records = await page.evaluate(async () => {
    const database = await new Promise((resolve, reject) => {
      const request = indexedDB.open("apprentice");
      request.onsuccess = () => resolve(request.result);
      request.onerror = () => reject(request.error);
    });
    const of = (request) =>
      new Promise((resolve, reject) => {
        request.onsuccess = () => resolve(request.result);
        request.onerror = () => reject(request.error);
      });
    const range = IDBKeyRange.bound("tuning/", "tuning0");
    const all = await of(database.transaction("cache").objectStore("cache").getAll(range));
    database.close();
    return all.map((bytes) => new TextDecoder().decode(bytes));
  });
  return records.map((record) => JSON.parse(record));
}

test("the browser's GPU runs kernels with subgroups", { timeout: 2 * PATIENCE_MS }, async () => {
  const context = await here.browser.newContext();
  const page = await open(context, `${here.server.url}?device=gpu&temperature=0${here.server.query}`);
  await ready(page);
  await page.getByRole("button", { name: /^Model and device/ }).click();
  await page.getByText(/\(subgroups\)/).waitFor();
  if (!mocked) {
    const [tuning, ...others] = await tunings(page);
    assert.deepEqual([tuning.refused, others], [[], []]);
    assert.ok(Object.keys(tuning.ways).length > 0, JSON.stringify(tuning));
    console.log(`tuned to ${JSON.stringify(tuning.ways)}`);
  }
  assert.deepEqual(page.faults, []);
  await context.close();
});

test("files become lessons, and a wrong line is named", { timeout: PATIENCE_MS }, async () => {
  const context = await here.browser.newContext();
  const page = await open(context, `${here.server.url}?device=cpu${here.server.query}`);
  await ready(page);
  await show(page, "Data");
  const choose = async (name, text) => {
    const chooser = page.waitForEvent("filechooser");
    await page.getByRole("button", { name: "Choose files" }).click();
    await (await chooser).setFiles({ name, mimeType: "text/plain", buffer: Buffer.from(text) });
  };
  await choose("wrong.jsonl", '{"prompt":"a","answer":"b"}\n{"prompt":\n');
  await page.getByText("wrong.jsonl, line 2: this is not JSON.").waitFor();
  await choose("good.jsonl", '{"prompt":"Where is the key?","answer":"Under the mat."}\n');
  const stored = page.getByRole("list", { name: "Stored examples" });
  await stored.getByText("Under the mat.").waitFor();
  assert.equal(await stored.getByRole("listitem").count(), 1);
  await choose("notes.md", "# Notes\n\nThe press runs at 40 bar.\n");
  await stored.getByText("The press runs at 40 bar.").waitFor();
  assert.deepEqual(page.faults, []);
  await context.close();
});
