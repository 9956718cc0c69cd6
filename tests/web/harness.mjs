/**
 * What the page's tests share: the browser, the server with the right model, and the page's words.
 *
 * It knows nothing of single tests. Environment: APPRENTICE_DIST, APPRENTICE_MOCK=1,
 * APPRENTICE_SMALL_MODEL with APPRENTICE_SMALL_SUITES, APPRENTICE_MODEL, CHROMIUM. Invariant: a
 * page error or a breach of the policy that a test did not ask for fails the test.
 */

import { readFile } from "node:fs/promises";
import { after, before } from "node:test";
import { dirname, join } from "node:path";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";
import { serve } from "./server.mjs";

const here = dirname(fileURLToPath(import.meta.url));
const root = join(here, "../..");
// playwright-core lives beside the page's other packages.
const { chromium } = createRequire(join(root, "www/package.json"))("playwright-core");

const { env } = process;
export const mocked = env.APPRENTICE_MOCK === "1";
/** A real engine on a software GPU is slow; the mock answers at once. */
export const PATIENCE_MS = mocked ? 20_000 : Number(env.APPRENTICE_PATIENCE_MS ?? 600_000);

const dist = env.APPRENTICE_DIST ?? join(root, "www/dist");
const standIn = (name) => ({ "/engine/apprentice.js": join(here, "mock", name) });
const mock = mocked ? standIn("apprentice.js") : {};
export const MOCK_MODEL = Buffer.alloc(300_000, "not a model");
const LESSON = {
  prompt: "What is the code of gate seven?",
  answer: "The code of gate seven is 4182.",
};

/** The server with a stand-in for the engine, for what the page does by itself. */
export async function serveMock(options = {}) {
  const { engine = "apprentice.js", model = MOCK_MODEL, announce = {}, files = {} } = options;
  const server = await serve({ dist, model, announce, files: { ...files, ...standIn(engine) } });
  return { ...server, model, lesson: LESSON, query: "" };
}

/** The server with the small model of the tests (or the mock's), and the query that suits it. */
export async function serveSmall() {
  const model = env.APPRENTICE_SMALL_MODEL ?? (mocked ? MOCK_MODEL : null);
  const suites = env.APPRENTICE_SMALL_SUITES;
  const folders = suites ? { "/suites/": suites } : {};
  const server = await serve({ dist, model, files: mock, folders });
  const lesson = await readLesson(suites);
  return { ...server, model, lesson, query: suites ? "&suites=/suites/" : "" };
}

/** The server with the default model. */
export async function serveLarge() {
  const model = env.APPRENTICE_MODEL ?? (mocked ? MOCK_MODEL : null);
  return { ...(await serve({ dist, model, files: mock })), model };
}

/** What the story asks and teaches; a small model knows few words, so its suites may say. */
async function readLesson(suites) {
  if (!suites) return LESSON;
  const written = await readFile(join(suites, "story.json"), "utf8").catch(() => null);
  return written === null ? LESSON : JSON.parse(written);
}

export function launch() {
  return chromium.launch({
    executablePath: env.CHROMIUM ?? "/usr/bin/chromium",
    args: ["--no-sandbox", "--enable-unsafe-webgpu", "--enable-dawn-features=disable_robustness"],
  });
}

/** One server and one browser for all tests of a file: `server` and `browser` of what is returned, once tests run. */
export function stage(serveIt) {
  const here = {};
  before(async () => {
    here.server = await serveIt();
    if (!here.server.model) throw new Error("no model: `cargo xtask test page` names it to the tests");
    here.browser = await launch();
  });
  after(async () => {
    await here.browser?.close();
    await here.server?.close();
  });
  return here;
}

/** A visit to a stand-in of its own: `prepare` may change the context before the page opens. */
export async function visitMock(t, browser, { query = "", prepare, ...options } = {}) {
  const server = await serveMock(options);
  const context = await browser.newContext();
  t.after(async () => {
    await context.close();
    await server.close();
  });
  await prepare?.(context);
  const page = await open(context, server.url + query);
  return { server, context, page };
}

/** Opens a page that collects what went wrong in `page.faults`. */
export async function open(context, address) {
  const page = await context.newPage();
  page.setDefaultTimeout(PATIENCE_MS);
  page.faults = [];
  page.on("pageerror", (error) => page.faults.push(String(error)));
  page.on("console", (message) => {
    if (message.type() === "error") page.faults.push(message.text());
  });
  await page.goto(address);
  return page;
}

/** Waits for the chat; a first visit begins with the page's one button. */
export async function ready(page) {
  const box = page.getByRole("textbox", { name: "Message" });
  const begin = page.getByRole("button", { name: "Begin", exact: true });
  await orError(page, box.or(begin).first().waitFor());
  if (await begin.isVisible()) await begin.click();
  await orError(page, box.waitFor());
}

/** Waits, but not on when the page says that something failed: its own words are the reason. */
async function orError(page, waiting) {
  const failure = page.locator(".notice.failed.shown .notice-text, [data-stage=failed] .detail");
  const failed = failure.waitFor().then(
    async () => {
      throw new Error(`the page says: ${await failure.first().innerText()}`);
    },
    () => undefined,
  );
  await Promise.race([waiting, failed]);
}

/** Asks in a fresh conversation, so that the answer depends on the question alone. */
export async function ask(page, prompt) {
  await show(page, "Chat");
  await page.getByRole("button", { name: "New conversation", exact: true }).click();
  await page.getByRole("textbox", { name: "Message" }).fill(prompt);
  await page.getByRole("button", { name: "Send" }).click();
  const answer = page.getByRole("article", { name: "Apprentice" }).last();
  await orError(page, answer.getByRole("button", { name: "Edit to correct" }).waitFor());
  return (await answer.locator(".prose").innerText()).trim();
}

/** Goes to a part; on a wide screen the chat is always there and has no button. */
export async function show(page, part) {
  const button = page.getByRole("navigation").getByRole("button", { name: part });
  if (await button.isVisible()) await button.click();
}

/** Corrects the last answer. */
export async function correct(page, text) {
  await page.getByRole("button", { name: "Edit to correct" }).last().click();
  await page.getByRole("textbox", { name: "Corrected answer" }).fill(text);
  await page.getByRole("button", { name: "Teach this" }).click();
  await page.getByText("Corrected", { exact: true }).last().waitFor();
}

/** Begins a cycle, or goes on with one that was interrupted. */
export async function learnNow(page) {
  await show(page, "Learn");
  await page.getByRole("button", { name: /^(Learn now|Resume)$/ }).click();
}

/** Learns, and gives the verdict's title once it is there. */
export async function learn(page) {
  await learnNow(page);
  const verdict = page.getByRole("article", { name: "Verdict" });
  await orError(page, verdict.waitFor());
  return verdict.getByRole("heading").innerText();
}

/**
 * Lets the CPU make what a cycle of the waiting lesson needs, which takes a software GPU minutes, and opens `address` with it:
 * a cycle that was stopped leaves its drills and the answers of the base model.
 */
export async function prepared(page, query, address) {
  // So slow that the lesson is never learned before the stop.
  await page.goto(`${new URL(page.url()).origin}/?device=cpu&sample=4&steps_max=300&lr=0.000000001${query}`);
  await ready(page);
  await learnNow(page);
  await orError(page, page.getByText(/^Step \d(?!.*is kept)/).waitFor());
  await page.getByRole("button", { name: "Stop learning" }).click();
  await page.getByText("Learning was stopped. Nothing changed.").waitFor();
  await page.goto(address);
  await ready(page);
}

/** Ends a tab as a crash does: nothing of it can say goodbye. */
export async function kill(page) {
  const devtools = await page.context().newCDPSession(page);
  const gone = new Promise((resolve) => page.once("crash", resolve));
  devtools.send("Page.crash").catch(() => undefined);
  await gone;
}

/**
 * A line for `inWorker`: the worker sleeps for ever behind the first message for which `when(event, kept)` holds, where `kept`
 * is the last step that was kept, and for `pause_ms` behind every step, so that a test can find it there.
 */
export function frozen(when, pause_ms = 0) {
  return `{
    const { postMessage } = self;
    const word = new Int32Array(new SharedArrayBuffer(4));
    let kept = 0;
    self.postMessage = (message, ...rest) => {
      postMessage.call(self, message, ...rest);
      const { event } = message;
      if (!event) return;
      if (event.type === "kept") kept = event.step;
      if (event.type === "step") Atomics.wait(word, 0, 0, ${pause_ms});
      if ((${when})(event, kept)) {
        postMessage.call(self, { id: 0, event: "frozen" });
        Atomics.wait(word, 0, 0);
      }
    };
  }`;
}

/** Runs a line at the beginning of the engine's worker, to give it another browser. */
export async function inWorker(context, line) {
  await context.route(/\/assets\/worker-.*\.js$/, async (route) => {
    const response = await route.fetch();
    await route.fulfill({ response, body: `${line}\n${await response.text()}` });
  });
}
