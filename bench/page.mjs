/**
 * How the page feels: its weight, when its first button can be pressed, its frames while it learns, and how soon a question is
 * answered then.
 *
 * It knows nothing of the engine's inside. Run with: node bench/page.mjs [--rounds N] [--out FILE]; environment as
 * `tests/web/harness.mjs` says, after `cargo xtask page`. Invariant: what is measured while it learns is measured at rest too,
 * in the same page, since a busy machine drops frames of any page.
 */

import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { cpus, loadavg, totalmem } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { ask, correct, launch, open, ready, serveSmall, show } from "../tests/web/harness.mjs";

const root = fileURLToPath(new URL("..", import.meta.url));
const today = new Date().toISOString().slice(0, 10);
const { values } = parseArgs({
  options: {
    rounds: { type: "string", default: "1" },
    out: { type: "string", default: join(root, `bench/results/${today}-page.json`) },
  },
});
const STEPS = 60;
const FRAME_MS_MAX = 50;

/** Runs in the page before anything else: notes frames, long tasks, and the first moment that a button can be pressed. */
function watch() {
  const seen = { frames: [], tasks: [], interactive_ms: null, first_paint_ms: null };
  globalThis.seen = seen;
  let last = performance.now();
  const frame = (now) => {
    seen.frames.push([now, now - last]);
    last = now;
    requestAnimationFrame(frame);
  };
  requestAnimationFrame(frame);
  new PerformanceObserver((list) => {
    for (const { startTime, duration } of list.getEntries()) seen.tasks.push([startTime, duration]);
  }).observe({ type: "longtask", buffered: true });
  new PerformanceObserver((list) => {
    for (const { name, startTime } of list.getEntries()) {
      if (name === "first-contentful-paint") seen.first_paint_ms = startTime;
    }
  }).observe({ type: "paint", buffered: true });
  const look = () => {
    const begin = [...document.querySelectorAll("main button, dialog button, button")].find((button) => {
      return button.textContent.trim() === "Begin" && !button.disabled && button.checkVisibility();
    });
    if (begin) seen.interactive_ms = performance.now();
    else requestAnimationFrame(look);
  };
  look();
  // The question's way to the worker and the answer's first word back.
  globalThis.Worker = class extends Worker {
    #chats = new Map();
    constructor(...options) {
      super(...options);
      this.addEventListener("message", ({ data: { id, event } }) => {
        if (event?.type === "step") {
          seen.steps = (seen.steps ?? 0) + 1;
          globalThis.atStep?.();
          globalThis.atStep = null;
        }
        if (typeof event === "string" && this.#chats.has(id)) {
          seen.answer_ms = performance.now() - this.#chats.get(id);
          this.#chats.delete(id);
        }
      });
    }
    postMessage(request) {
      if (request.method === "chat") this.#chats.set(request.id, performance.now());
      super.postMessage(request);
    }
  };
}

const now = (page) => page.evaluate(() => performance.now());

/** Frames and long tasks between two moments. */
async function between(page, from, to) {
  const { frames, tasks } = await page.evaluate(() => globalThis.seen);
  const inside = ([at]) => at >= from && at <= to;
  const gaps = frames.filter(inside).map(([, gap]) => gap).sort((a, b) => a - b);
  const at = (share) => gaps[Math.min(gaps.length - 1, Math.floor(share * gaps.length))] ?? null;
  const long = tasks.filter(inside).map(([, duration]) => duration);
  return {
    seconds: (to - from) / 1000,
    frames: gaps.length,
    median_ms: at(0.5),
    p95_ms: at(0.95),
    p99_ms: at(0.99),
    worst_ms: gaps.at(-1) ?? null,
    over_50_ms: gaps.filter((gap) => gap > FRAME_MS_MAX).length,
    long_tasks: long.length,
    longest_task_ms: Math.max(0, ...long),
  };
}

/** Bytes of all files that the page keeps, as a server sends them. */
function weight(dist) {
  const { files } = JSON.parse(/\{"version":.*?\]\}/.exec(readFileSync(join(dist, "sw.js"), "utf8"))[0]);
  const bytes = (name) => {
    const packed = statSync(join(dist, `${name}.gz`), { throwIfNoEntry: false });
    return (packed ?? statSync(join(dist, name))).size;
  };
  return { files: files.length, bytes: files.reduce((sum, name) => sum + bytes(name), 0) };
}

async function round(browser, server) {
  const context = await browser.newContext();
  await context.addInitScript(watch);
  // Slow enough a rate that the lesson is not learned before the last step: there are frames to count.
  const query = `?device=cpu&temperature=0&tokens_max=24&sample=8&steps_max=${STEPS}&lr=0.0000001${server.query}`;
  const page = await open(context, server.url + query);
  await page.getByRole("button", { name: "Begin", exact: true }).waitFor();
  await page.waitForFunction(() => globalThis.seen.interactive_ms !== null);
  const opened = await page.evaluate(() => globalThis.seen);
  await ready(page);
  const { prompt, answer } = server.lesson;
  await ask(page, prompt);
  await correct(page, answer);
  await show(page, "Learn");
  const restFrom = await now(page);
  await page.waitForTimeout(3_000);
  const rest = await between(page, restFrom, await now(page));

  await page.getByRole("button", { name: "New conversation", exact: true }).click();
  await page.getByRole("textbox", { name: "Message" }).fill(prompt);
  await page.getByRole("button", { name: "Send" }).evaluate((send) => {
    globalThis.atStep = () => send.click();
  });
  const from = await now(page);
  await page.getByRole("button", { name: /^(Learn now|Resume)$/ }).click();
  await page.getByRole("article", { name: "Verdict" }).waitFor();
  const cycle = await between(page, from, await now(page));
  const { answer_ms = null, steps = 0 } = await page.evaluate(() => globalThis.seen);
  await context.close();
  return {
    first_paint_ms: opened.first_paint_ms,
    interactive_ms: opened.interactive_ms,
    rest,
    cycle: { ...cycle, steps },
    answer_while_training_ms: answer_ms,
  };
}

const [server, browser] = [await serveSmall(), await launch()];
const load = [loadavg()[0]];
const rounds = [];
try {
  for (let i = 0; i < Number(values.rounds); i++) {
    rounds.push(await round(browser, server));
    load.push(loadavg()[0]);
  }
} finally {
  await browser.close();
  await server.close();
}
const commit = execFileSync("git", ["rev-parse", "--short", "HEAD"], { cwd: root }).toString().trim();
const machine = {
  cpu: cpus()[0].model,
  cores: cpus().length,
  memory_gb: Math.round(totalmem() / 2 ** 30),
  browser: browser.version(),
  load,
};
const dist = process.env.APPRENTICE_DIST ?? join(root, "www/dist");
const result = { bench: "page", date: today, commit, machine, weight: weight(dist), rounds };
mkdirSync(join(values.out, ".."), { recursive: true });
writeFileSync(values.out, `${JSON.stringify(result, null, 2)}\n`);

const ms = (value) => (value === null ? "none" : `${value.toFixed(0)} ms`);
console.log(`weight ${(result.weight.bytes / 1e6).toFixed(2)} MB in ${result.weight.files} files; load ${load.map((l) => l.toFixed(1)).join(", ")}`);
for (const { first_paint_ms, interactive_ms, rest, cycle, answer_while_training_ms } of rounds) {
  console.log(`first paint ${ms(first_paint_ms)}, first button ${ms(interactive_ms)}`);
  for (const [what, of] of Object.entries({ "at rest": rest, learning: cycle })) {
    const { frames, seconds, median_ms, p95_ms, p99_ms, worst_ms, over_50_ms, long_tasks } = of;
    console.log(
      `${what.padEnd(9)} ${frames} frames in ${seconds.toFixed(1)} s: median ${ms(median_ms)}, 95 % ${ms(p95_ms)}, ` +
        `99 % ${ms(p99_ms)}, worst ${ms(worst_ms)}, ${over_50_ms} over ${FRAME_MS_MAX} ms, ${long_tasks} long tasks`,
    );
  }
  console.log(`${cycle.steps} steps; answer while training begins after ${ms(answer_while_training_ms)}`);
}
