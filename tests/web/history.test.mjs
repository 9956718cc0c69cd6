/**
 * The time line and the data as a person keeps them in order, on the stand-in engine: names, files for PEFT, forgetting, and
 * what comes from a folder and from ChatGPT.
 *
 * It knows nothing of models. Invariant: every check goes through what can be pressed and read.
 */

import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { ask, correct, learn, open, PATIENCE_MS, ready, serveMock, show, stage } from "./harness.mjs";

const { unzipSync, zipSync } = createRequire(new URL("../../www/package.json", import.meta.url))("fflate");
const here = stage(serveMock);

async function visit(t) {
  const context = await here.browser.newContext({ acceptDownloads: true });
  t.after(() => context.close());
  const page = await open(context, `${here.server.url}?device=cpu`);
  await ready(page);
  return page;
}

async function learned(page) {
  await ask(page, here.server.lesson.prompt);
  await correct(page, here.server.lesson.answer);
  assert.equal(await learn(page), "Learned");
}

const choose = async (page, button, files) => {
  const chooser = page.waitForEvent("filechooser");
  await page.getByRole("button", { name: button, exact: true }).click();
  await (await chooser).setFiles(files);
};
const file = (name, content) => ({
  name,
  mimeType: "application/octet-stream",
  buffer: Buffer.from(content),
});
const stored = (page) => page.getByRole("list", { name: "Stored examples" });

test("a version gets a name, and loses it", { timeout: PATIENCE_MS }, async (t) => {
  const page = await visit(t);
  await learned(page);
  await show(page, "Versions");
  const version = page.getByRole("listitem", { name: /^Version / }).first();
  const give = async (name) => {
    await version.getByRole("button", { name: /^Name it: Version/ }).click();
    await page.getByRole("textbox", { name: "Name" }).fill(name);
    await page.getByRole("button", { name: "Give this name" }).click();
  };
  await give("two words");
  await page.getByText(/`two words` is no name/).waitFor();
  await page.getByRole("button", { name: "Close", exact: true }).click();
  await give("before-harvest");
  await version.getByText("before-harvest").waitFor();
  await page.reload();
  await ready(page);
  await show(page, "Versions");
  await version.getByRole("button", { name: "Take the name before-harvest away" }).click();
  await version.getByText("before-harvest").waitFor({ state: "detached" });
  assert.deepEqual(page.faults, []);
});

test("a version leaves for PEFT and comes back, and waits for an exam", { timeout: PATIENCE_MS }, async (t) => {
  const page = await visit(t);
  await learned(page);
  await show(page, "Versions");
  const version = page.getByRole("listitem", { name: /^Version / });
  await version.getByRole("button", { name: /^Export Version/ }).click();
  const download = page.waitForEvent("download");
  await page.getByRole("button", { name: "For PEFT" }).click();
  const saved = await download;
  assert.match(saved.suggestedFilename(), /-peft\.zip$/);
  const bytes = readFileSync(await saved.path());
  const names = Object.keys(unzipSync(bytes)).sort();
  assert.deepEqual(names, ["adapter_config.json", "adapter_model.safetensors"]);
  const half = zipSync({ "adapter_config.json": unzipSync(bytes)["adapter_config.json"] });
  await choose(page, "Import a version", file("half.zip", half));
  await page.getByText(/lacks adapter_model\.safetensors/).waitFor();
  await page.getByRole("button", { name: "Dismiss" }).click();
  // A stand-in's adapter that is another one.
  const other = zipSync({ ...unzipSync(bytes), "adapter_model.safetensors": Buffer.from("{}") });
  await choose(page, "Import a version", file("other.zip", other));
  await page.getByText(/is in the history\. It answers once it has passed an exam/).waitFor();
  await page.getByRole("button", { name: /^Examine and take in: Version/ }).waitFor();
  assert.deepEqual(page.faults, []);
});

test("what was learned is forgotten, what waits is deleted", { timeout: PATIENCE_MS }, async (t) => {
  const page = await visit(t);
  await learned(page);
  await ask(page, "What is new?");
  await correct(page, "This is new.");
  await show(page, "Data");
  await stored(page).getByRole("button", { name: /^Delete “What is new/ }).waitFor();
  await stored(page).getByRole("button", { name: /^Forget “/ }).click();
  await page.getByText(/learned again without it, cycle by cycle/).waitFor();
  await stored(page).getByRole("button", { name: "Keep", exact: true }).click();
  assert.equal(await page.getByText(/cycle by cycle/).count(), 0);
  await stored(page).getByRole("button", { name: /^Forget “/ }).click();
  await stored(page).getByRole("button", { name: "Forget", exact: true }).click();
  await page.getByText("The example is forgotten.").waitFor();
  await show(page, "Data");
  assert.equal(await stored(page).getByRole("listitem").count(), 1);
  assert.notEqual(await ask(page, here.server.lesson.prompt), here.server.lesson.answer);
  assert.deepEqual(page.faults, []);
});

/** A conversation as ChatGPT exports it: a tree, of which the owner saw one branch. */
function exported(title, ...turns) {
  const mapping = { root: { id: "root", parent: null, message: null } };
  let parent = "root";
  for (const [row, [role, text, more = {}]] of turns.entries()) {
    const content = { content_type: "text", parts: [text] };
    mapping[row] = { id: `${row}`, parent, message: { author: { role }, content, ...more } };
    parent = `${row}`;
  }
  mapping.other = {
    id: "other",
    parent: "0",
    message: { author: { role: "assistant" }, content: { content_type: "text", parts: ["NOT SEEN"] } },
  };
  return { title, current_node: parent, mapping };
}

const hidden = { metadata: { is_visually_hidden_from_conversation: true } };
const CONVERSATIONS = [
  exported(
    "Ink",
    ["system", "SECRET", hidden],
    ["user", "Which ink dries fastest?"],
    ["assistant", "Let me look."],
    ["tool", "TOOL"],
    ["assistant", "Alcohol ink dries fastest."],
    ["user", "And without alcohol?"],
  ),
  exported("Empty", ["user", "Hello?"]),
];

test("ChatGPT's export becomes lessons, as its file or as its zip", { timeout: PATIENCE_MS }, async (t) => {
  const page = await visit(t);
  await show(page, "Data");
  const json = JSON.stringify(CONVERSATIONS);
  await choose(page, "Choose files", file("conversations.json", "[{}]"));
  await page.getByText(/has no conversation with an answer/).waitFor();
  await page.getByRole("button", { name: "Dismiss" }).click();
  await choose(page, "Choose files", file("export.zip", zipSync({ "chat.html": Buffer.from("x") })));
  await page.getByText(/holds no conversations\.json/).waitFor();
  await page.getByRole("button", { name: "Dismiss" }).click();
  const zip = zipSync({ "chat.html": Buffer.from("x"), "conversations.json": Buffer.from(json) });
  await choose(page, "Choose files", file("export.zip", zip));
  await stored(page).getByText("Which ink dries fastest?").waitFor();
  const text = await stored(page).innerText();
  assert.match(text, /Let me look\.\s+Alcohol ink dries fastest\./);
  assert.match(text, /from export\.zip: Ink/);
  assert.doesNotMatch(text, /SECRET|TOOL|NOT SEEN|without alcohol|Hello/);
  await choose(page, "Choose files", file("conversations.json", json));
  await page.getByText("That was taught before.").waitFor();
  assert.deepEqual(page.faults, []);
});

test("a folder of code becomes documents, without what tools put there", { timeout: PATIENCE_MS }, async (t) => {
  const page = await visit(t);
  const folder = mkdtempSync(join(tmpdir(), "apprentice-folder-"));
  t.after(() => rmSync(folder, { recursive: true }));
  const code = join(folder, "press");
  for (const name of ["src", "node_modules/left", ".git"]) mkdirSync(join(code, name), { recursive: true });
  writeFileSync(join(code, "src/ink.rs"), "pub fn dries() {}\n");
  writeFileSync(join(code, "NOTES.md"), "The press runs at 40 bar.\n");
  writeFileSync(join(code, "src/empty.rs"), "");
  writeFileSync(join(code, "logo.png"), "PNG");
  writeFileSync(join(code, "node_modules/left/pad.js"), "pad()");
  writeFileSync(join(code, ".git/notes.md"), "hidden");
  await show(page, "Data");
  await choose(page, "Choose a folder", code);
  await stored(page).getByText("pub fn dries() {}").waitFor();
  const titles = (await stored(page).locator(".example-q").allInnerTexts()).sort();
  assert.deepEqual(titles, ["press/NOTES.md", "press/src/ink.rs"]);
  assert.deepEqual(page.faults, []);
});
