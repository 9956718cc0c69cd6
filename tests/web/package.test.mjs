/**
 * The npm package as a stranger gets it: the packed tarball, installed into an empty folder, in both examples and by a program.
 *
 * It knows the package's interface only. Environment: APPRENTICE_PACKAGE, the tarball. Invariant: nothing of the working tree
 * but the examples' own files is seen by what runs.
 */

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { launch, mocked, open, PATIENCE_MS } from "./harness.mjs";
import { abortsWhatRuns, keepsAndForgets, learnsAndGoesBack, speaksOpenAi } from "./package/calls.mjs";
import { serve } from "./server.mjs";

const { env } = process;
const root = join(dirname(fileURLToPath(import.meta.url)), "../..");
const tool = (path) => join(root, "www/node_modules", path);
const options = { skip: mocked, timeout: PATIENCE_MS };

let folder;
let lesson;
let browser;

before(async () => {
  if (mocked) return;
  const { APPRENTICE_PACKAGE: tarball, APPRENTICE_SMALL_MODEL: model } = env;
  if (!tarball || !model) throw new Error("no package: `cargo xtask test page` names it to the tests");
  lesson = JSON.parse(readFileSync(join(env.APPRENTICE_SMALL_SUITES, "story.json"), "utf8"));
  folder = mkdtempSync(join(tmpdir(), "apprentice-package-"));
  writeFileSync(join(folder, "package.json"), '{ "private": true, "type": "module" }');
  const install = ["install", "--offline", "--no-audit", "--no-fund", "--loglevel=error", tarball];
  execFileSync("npm", install, { cwd: folder });
  cpSync(join(root, "www/examples/plain/index.html"), join(folder, "index.html"));
  cpSync(join(root, "www/examples/vite"), join(folder, "vite"), { recursive: true });
  cpSync(join(root, "tests/web/package/consumer.ts"), join(folder, "consumer.ts"));
  browser = await launch();
});
after(async () => {
  await browser?.close();
  if (folder) rmSync(folder, { recursive: true });
});

/** A page of a folder, on a server that knows nothing of our policy. */
async function visit(t, dist, path = "") {
  const server = await serve({
    dist,
    model: env.APPRENTICE_SMALL_MODEL,
    folders: { "/suites/": env.APPRENTICE_SMALL_SUITES },
    files: { "/favicon.ico": join(root, "www/public/icon.svg") },
    free: true,
  });
  const context = await browser.newContext();
  t.after(async () => {
    await context.close();
    await server.close();
  });
  const page = await open(context, server.url + path);
  return { server, page };
}

/** Runs a function of `calls.mjs` in a page, with the package as a module. */
async function runs(t, calls) {
  const { page } = await visit(t, folder, "package.json");
  const result = await page.evaluate(
    async ([code, taught]) => {
      const { Apprentice } = await import("/node_modules/apprentice/apprentice.js");
      const create = (more) =>
        Apprentice.create({ model: "/model.gguf", device: "cpu", suites: "/suites/", ...more });
      const work = (0, eval)(`(${code})`);
      return work(create, taught);
    },
    [calls.toString(), lesson],
  );
  assert.deepEqual(page.faults, []);
  return result;
}

for (const resolution of ["bundler", "nodenext"]) {
  test(`types hold what they promise and no more, resolved as by ${resolution}`, options, () => {
    const kind = resolution === "bundler" ? "esnext" : "nodenext";
    const flags = ["--noEmit", "--strict", "--exactOptionalPropertyTypes", "--target", "es2023"];
    const how = ["--module", kind, "--moduleResolution", resolution, "--types", ""];
    const args = [tool("typescript/bin/tsc"), ...flags, ...how, "--lib", "es2024,dom,dom.asynciterable"];
    execFileSync(process.execPath, [...args, "consumer.ts"], { cwd: folder, stdio: "inherit" });
  });
}

test("the plain example answers, and learns what it is taught", options, async (t) => {
  const { page } = await visit(t, folder);
  const said = page.locator("output");
  await page.getByText("Ready.", { exact: true }).waitFor();
  await page.getByRole("textbox", { name: "Message" }).fill(lesson.prompt);
  await page.getByRole("button", { name: "Ask" }).click();
  await page.waitForFunction(() => document.querySelector("output").value.length > 8);
  const answer = await said.innerText();
  await page.getByRole("textbox", { name: "A better answer" }).fill(lesson.answer);
  await page.getByRole("button", { name: "Teach and learn" }).click();
  const before = [answer, "phase", "step", "suite", "kept", "warning"];
  await page.waitForFunction(
    (before) => !before.includes(document.querySelector("output").value),
    before,
  );
  assert.match(await said.innerText(), /^learned 1 of 1;/);
  t.diagnostic(await said.innerText());
  assert.deepEqual(page.faults, []);
});

test("the Vite example builds, answers, and stops when it is told", options, async (t) => {
  const vite = join(folder, "vite");
  execFileSync(process.execPath, [tool("vite/bin/vite.js"), "build", "--logLevel", "warn"], {
    cwd: vite,
    stdio: "inherit",
  });
  const { server, page } = await visit(t, join(vite, "dist"));
  const said = page.locator("output");
  await page.getByText(/ on the cpu is ready\.$/).waitFor();
  const wasm = server.requests.filter(({ path }) => path.endsWith(".wasm"));
  assert.match(wasm[0].path, /^\/assets\/apprentice_bg-[\w-]+\.wasm$/);
  assert.equal(wasm.length, 1);
  const ask = async (prompt) => {
    await page.getByRole("textbox", { name: "Message" }).fill(prompt);
    await page.getByRole("button", { name: "Ask" }).click();
  };
  await ask(lesson.prompt);
  await page.waitForFunction(() => document.querySelector("output").value.length > 8);
  t.diagnostic(await said.innerText());
  await page.getByRole("button", { name: "Stop" }).click();
  assert.deepEqual(page.faults, []);
});

test("a program speaks with it in OpenAI's shape", options, async (t) => {
  const told = await runs(t, speaksOpenAi);
  assert.equal(told.object, "chat.completion");
  assert.deepEqual(told.progress.slice(-1), ["ready"]);
  assert.equal(told.streamed, told.whole);
  assert.equal(told.reason, "stop");
  assert.ok(told.usage.prompt_tokens > 0 && told.usage.completion_tokens > 0);
  assert.deepEqual(told.streamedUsage, told.usage);
  assert.equal(told.cut, told.whole.slice(0, told.whole.indexOf(told.stop)).trim());
  assert.deepEqual(told.short, { reason: "length", tokens: 2 });
  const place = JSON.parse(told.formed.text);
  assert.deepEqual(Object.keys(place).sort(), ["city", "gate"]);
  assert.ok(["Tarn", "Marn"].includes(place.city) && place.gate >= 0 && place.gate <= 9);
  assert.equal(told.formed.reason, "stop");
  assert.match(told.refusals.schema, /a JSON schema is wanted/);
  assert.match(told.refusals.unknown, /^refused: frequency_penalty: is not known here/);
  assert.match(told.refusals.role, /^refused: messages\[0\]\.role/);
  assert.match(told.refusals.top_p, /^refused: top_p: cannot be 2/);
  assert.match(told.refusals.version, /^failed: .*nobody/);
  assert.match(told.refusals.file, /^failed: /);
});

test("two pages share one home: the second goes through the first, and follows it", options, async (t) => {
  const { server, page: first } = await visit(t, folder, "package.json");
  const second = await open(first.context(), `${server.url}package.json`);
  const workers = [];
  for (const page of [first, second]) {
    await page.evaluate(async () => {
      const { Apprentice } = await import("/node_modules/apprentice/apprentice.js");
      globalThis.mine = await Apprentice.create({ model: "/model.gguf", device: "cpu", suites: "/suites/" });
      globalThis.say = async (prompt, more = {}) => {
        const messages = [{ role: "user", content: prompt }];
        const { choices } = await mine.chat.completions.create({ messages, temperature: 0, ...more });
        return choices[0].message.content;
      };
    });
    workers.push(page.workers().length);
  }
  assert.deepEqual(workers, [1, 0], "one engine for both");
  const say = (page, prompt) => page.evaluate((prompt) => globalThis.say(prompt), prompt);
  const untaught = await say(first, lesson.prompt);
  assert.equal(await say(second, lesson.prompt), untaught);
  // A reader that leaves ends its own answer; one that is asked beside it in the first page is whole.
  const [broken, whole] = await Promise.all([
    second.evaluate(async (prompt) => {
      const messages = [{ role: "user", content: prompt }];
      let pieces = 0;
      for await (const { choices } of await mine.chat.completions.create({ messages, stream: true })) {
        if (choices[0].delta.content && ++pieces === 2) break;
      }
      return pieces;
    }, lesson.prompt),
    say(first, lesson.prompt),
  ]);
  assert.deepEqual([broken, whole], [2, untaught]);
  const verdict = await second.evaluate(async (lesson) => {
    await mine.teach(lesson);
    let last;
    for await (const event of mine.learn({ sample: 8, steps_max: 40 })) last = event;
    return last.verdict;
  }, lesson);
  assert.equal(verdict, "promoted");
  assert.equal(await say(first, lesson.prompt), lesson.answer);
  const refused = await second.evaluate(() => mine.data.erase().catch((error) => error.message));
  assert.match(refused, /only in the tab that runs the model/);
  await first.close();
  // It loads an engine of its own; a call that comes meanwhile waits for it.
  while (second.workers().length === 0) await second.waitForTimeout(50);
  assert.equal(await say(second, lesson.prompt), lesson.answer);
  assert.deepEqual(second.faults, []);
});

test("what runs can be aborted, and only that", options, async (t) => {
  const told = await runs(t, abortsWhatRuns);
  assert.equal(told.stream, "enough");
  assert.ok(told.heard > 0, "a piece had come");
  assert.equal(told.waiting, "not needed");
  assert.equal(told.beside, told.whole);
  assert.equal(told.cycle, "AbortError");
  assert.deepEqual(told.actions, ["stopped"]);
  assert.equal(told.left, told.whole);
  assert.equal(told.after, told.whole);
  assert.equal(told.load, "AbortError");
  assert.match(told.closed, /closed/);
});

test("it learns, tells how, goes back, and moves as a file", options, async (t) => {
  const told = await runs(t, learnsAndGoesBack);
  assert.deepEqual(told.taught, { added: 1, duplicates: 0, replaced: 0, total: 1 });
  assert.equal(told.last.type, "verdict");
  assert.equal(told.last.verdict, "promoted", told.last.reason);
  assert.ok(told.types.includes("step") && told.types.includes("suite"));
  assert.equal(told.learned, lesson.answer);
  assert.notEqual(told.untaught, lesson.answer);
  assert.equal(told.base, told.untaught);
  assert.equal(told.back, told.untaught);
  assert.deepEqual(told.tags, ["good"]);
  assert.equal(told.byTag, lesson.answer);
  assert.ok(told.core.n > 0 && told.core.accuracy >= 0);
  assert.deepEqual(told.forms, ["{", "GGUF", "PK"]);
  assert.equal(told.imported.gguf, lesson.answer);
  assert.equal(told.imported.peft, lesson.answer);
  assert.match(told.barred, /adopt/);
  assert.equal(told.unadopted, told.untaught);
  assert.equal(told.adoption.verdict, "promoted", told.adoption.reason);
  assert.equal(told.adopted, lesson.answer);
  assert.match(told.other, /was made for/);
});

test("what is kept is listed, moved, forgotten and erased", options, async (t) => {
  const told = await runs(t, keepsAndForgets);
  assert.match(told.doubted, /set aside.*a file: .*the model is sure of/);
  assert.deepEqual(told.listed, [lesson.answer]);
  assert.deepEqual(told.erased, { examples: 0, versions: 0 });
  assert.equal(told.moved, lesson.answer);
  assert.match(told.damaged, /damaged or not whole/);
  assert.equal(told.report.cycles, 0);
  assert.equal(told.report.head, null);
  assert.deepEqual(told.forgotten, { examples: 0, head: null });
  assert.equal(told.after, told.untaught);
});
