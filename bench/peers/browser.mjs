// Our engine beside the browser's peers: one headless Chromium, the same GGUF, the same words, in turns.
//
//   cargo xtask page && node bench/peers/browser.mjs
//
// It installs the peers at the versions of browser/package-lock.json under target/peers/browser, makes the ONNX file (see
// browser/make_onnx.py) with a Python environment under target/peers/onnx, and starts Chromium once with a tab for each
// contender:
//   ours-cpu     the page's engine in a worker, CPU device, one thread
//   wllama       llama.cpp as WebAssembly, one thread, WebGPU off (it needs shader-f16, which SwiftShader lacks)
//   onnx-cpu     onnxruntime-web as WebAssembly, one thread, f32 (with 4 bits it decodes ten times slower there)
//   ours-gpu     the page's engine on WebGPU: the software adapter where there is no other
//   onnx-gpu     onnxruntime-web on the same adapter, 4-bit blocks of 32 (MatMulNBits)
// What is printed and written to bench/results/ are medians, and medians of each round's ratios. Each engine times its own
// prompts and tokens, except onnxruntime-web, which has no loop of its own and is timed around its calls. Tabs of the CPU
// and of WebGPU take turns in two groups, the second with a short prompt and answer, since software adapters are slow.
// Some minutes on a quiet machine.
import { execFileSync } from "node:child_process";
import { copyFileSync, createReadStream, existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { cpus, homedir, loadavg, release, totalmem } from "node:os";
import { basename, delimiter, extname, join, resolve } from "node:path";
import { parseArgs } from "node:util";

const root = resolve(import.meta.dirname, "../..");
const here = join(import.meta.dirname, "browser");
const home = join(root, "target/peers/browser");
const onnxHome = join(root, "target/peers/onnx");

const { values: options } = parseArgs({
  options: {
    model: { type: "string", default: join(homedir(), ".cache/apprentice/SmolLM2-135M-Instruct.Q4_1.gguf") },
    engine: { type: "string", default: join(root, "www/public/engine") },
    rounds: { type: "string", default: "5" },
    "gpu-rounds": { type: "string", default: "2" },
    without: { type: "string", default: "" },
    out: { type: "string" },
    help: { type: "boolean", default: false },
  },
});
if (options.help) {
  const head = readFileSync(import.meta.filename, "utf8").split("\nimport")[0];
  console.log(head.replaceAll(/^\/\/ ?/gm, ""));
  console.log("\n--model FILE  --engine DIR  --rounds N  --gpu-rounds N  --without NAME,…  --out FILE");
  process.exit(0);
}

const CONTENDERS = {
  "ours-cpu": { page: "ours.html", device: "cpu", group: "cpu" },
  wllama: { page: "wllama.html", device: "cpu", group: "cpu" },
  "onnx-cpu": { page: "onnx.html", device: "wasm", group: "cpu" },
  "ours-gpu": { page: "ours.html", device: "gpu", group: "gpu" },
  "onnx-gpu": { page: "onnx.html", device: "webgpu", group: "gpu" },
};
/** Sentences of the prompt (tokens of it where any do) and tokens of the answer. */
const SIZES = { cpu: { sentences: 5, prompt: 128, tokens: 48 }, gpu: { sentences: 0, prompt: 32, tokens: 4 } };
/** A contender that needs longer for one answer is left out, and the result says so. */
const PATIENCE_S = 300;

function fail(text) {
  console.error(text);
  process.exit(1);
}

function need(path, fix) {
  if (!existsSync(path)) fail(`${path} is not there; run \`${fix}\``);
}

/** The peers' packages, installed anew when the lock file changed. */
function install() {
  mkdirSync(home, { recursive: true });
  const lock = readFileSync(join(here, "package-lock.json"), "utf8");
  const mark = join(home, "installed-lock.json");
  if (!existsSync(mark) || readFileSync(mark, "utf8") !== lock) {
    for (const name of ["package.json", "package-lock.json"]) copyFileSync(join(here, name), join(home, name));
    console.error("installing the peers into target/peers/browser");
    const args = ["ci", "--no-audit", "--no-fund", "--ignore-scripts"];
    execFileSync("npm", args, { cwd: home, stdio: ["ignore", 2, 2] });
    writeFileSync(mark, lock);
  }
  return createRequire(join(home, "package.json"));
}

/** The model as ONNX, made once for each GGUF: f32 or 4 bits, whichever the provider runs faster. */
function onnxModel(device) {
  const as_float = device === "wasm";
  const name = `${basename(options.model, ".gguf")}.${as_float ? "f32" : "q4"}.onnx`;
  const file = join(onnxHome, name);
  if (existsSync(file)) return name;
  const python = join(onnxHome, "env/bin/python");
  const quiet = { stdio: ["ignore", 2, 2] };
  if (!existsSync(join(onnxHome, "ready"))) {
    console.error("installing onnx and gguf into target/peers/onnx");
    mkdirSync(onnxHome, { recursive: true });
    execFileSync("python3", ["-m", "venv", join(onnxHome, "env")], quiet);
    execFileSync(python, ["-m", "pip", "install", "--quiet", "-r", join(here, "requirements.txt")], quiet);
    writeFileSync(join(onnxHome, "ready"), "");
  }
  const kind = as_float ? ["--float"] : [];
  execFileSync(python, [join(here, "make_onnx.py"), options.model, file, ...kind], quiet);
  return name;
}

const TYPES = { ".html": "text/html", ".js": "text/javascript", ".mjs": "text/javascript", ".wasm": "application/wasm" };

/** Serves the folders and the model with the headers that shared memory wants. */
async function serve() {
  const folders = {
    bench: here,
    engine: resolve(options.engine),
    wllama: join(home, "node_modules/@wllama/wllama/esm"),
    ort: join(home, "node_modules/onnxruntime-web/dist"),
    onnx: onnxHome,
  };
  const server = createServer((request, response) => {
    const [, folder, ...rest] = new URL(request.url, "http://host").pathname.split("/");
    const file = folder === "model.gguf" ? options.model : join(folders[folder] ?? here, ...rest);
    if (rest.includes("..") || !existsSync(file) || !statSync(file).isFile()) {
      response.writeHead(404).end();
      return;
    }
    response.writeHead(200, {
      "Content-Type": TYPES[extname(file)] ?? "application/octet-stream",
      "Content-Length": statSync(file).size,
      "Cross-Origin-Opener-Policy": "same-origin",
      "Cross-Origin-Embedder-Policy": "require-corp",
    });
    createReadStream(file).pipe(response);
  });
  await new Promise((done) => server.listen(0, "127.0.0.1", done));
  return { server, address: `http://127.0.0.1:${server.address().port}` };
}

function browserPath() {
  if (process.env.CHROMIUM) return process.env.CHROMIUM;
  const names = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];
  const folders = (process.env.PATH ?? "").split(delimiter);
  const found = names.flatMap((name) => folders.map((folder) => join(folder, name))).find(existsSync);
  return found ?? fail("no Chromium; install it (Debian: apt-get install chromium) or set CHROMIUM");
}

function words(round, sentences) {
  const text = "The tower is old and its stones are worn by the wind and by the rain of many years. ".repeat(sentences);
  // Each round has its own first words, so that no engine can reuse a prompt's keys.
  return [
    { role: "system", content: `Round ${round}.` },
    { role: "user", content: `${text}Tell me a long story about it.` },
  ];
}

const median = (values) => [...values].sort((a, b) => a - b)[values.length >> 1];

async function open(browser, address, name) {
  const { page: file, device } = CONTENDERS[name];
  const onnx = file === "onnx.html" ? onnxModel(device) : null;
  const page = await browser.newPage();
  page.on("pageerror", (error) => console.error(`${name}: ${error.message}`));
  await page.goto(`${address}/bench/${file}`);
  try {
    const info = await page.evaluate((given) => window.peer.load(given), { device, onnx });
    return { name, page, info };
  } catch (error) {
    console.error(`${name} does not run here: ${error.message.split("\n")[0]}`);
    await page.close();
    return { name, failed: error.message.split("\n")[0] };
  }
}

/** One answer of a tab, or none where it takes too long. */
async function answer(tab, given) {
  let timer;
  const late = new Promise((_, failed) => {
    timer = setTimeout(() => failed(new Error(`no answer within ${PATIENCE_S} s`)), 1000 * PATIENCE_S);
  });
  try {
    const run = tab.page.evaluate(([messages, tokens, prompt]) => window.peer.run(messages, tokens, prompt), given);
    run.catch(() => {});
    return await Promise.race([run, late]);
  } catch (error) {
    tab.failed = error.message.split("\n")[0];
    console.error(`${tab.name}: ${tab.failed}`);
    // A closed page ends the call that is still under way; nobody waits for its error.
    await tab.page.close().catch(() => {});
    return null;
  } finally {
    clearTimeout(timer);
  }
}

/** Runs the contenders of a group in turns; the first round, which compiles, is not counted. */
async function group(tabs, kind, rounds) {
  const { sentences, tokens, prompt } = SIZES[kind];
  const mine = tabs.filter((tab) => !tab.failed && CONTENDERS[tab.name].group === kind);
  const runs = Object.fromEntries(mine.map((tab) => [tab.name, []]));
  for (let round = 0; round <= rounds; round += 1) {
    for (const tab of mine.filter((one) => !one.failed)) {
      // A tab in the background gets its timers late.
      await tab.page.bringToFront();
      console.error(`${kind}, round ${round} of ${rounds}: ${tab.name}`);
      const run = await answer(tab, [words(round, sentences), tokens, prompt]);
      if (round > 0 && run) runs[tab.name].push(run);
    }
  }
  return Object.fromEntries(Object.entries(runs).filter(([name]) => !mine.find((tab) => tab.name === name).failed));
}

function report(runs) {
  const median_of_ratios = {};
  const summary = {};
  console.log(`${"".padEnd(12)}${"prompt".padStart(8)}${"prefill".padStart(10)}${"decode".padStart(10)}  tokens/s`);
  for (const [name, all] of Object.entries(runs)) {
    const of = (key) => median(all.map((run) => run[key]));
    const row = { prompt_tokens: of("prompt_tokens"), prefill: of("prefill"), decode: of("decode") };
    summary[name] = row;
    const numbers = `${row.prefill.toPrecision(3).padStart(10)}${row.decode.toPrecision(3).padStart(10)}`;
    console.log(`${name.padEnd(12)}${String(row.prompt_tokens).padStart(8)}${numbers}`);
  }
  for (const name of Object.keys(runs)) {
    const ours = runs[`ours-${CONTENDERS[name].group}`];
    if (!ours || name.startsWith("ours")) continue;
    for (const key of ["prefill", "decode"]) {
      const ratio = median(ours.map((run, i) => run[key] / runs[name][i][key]));
      median_of_ratios[`${key}, ours over ${name}`] = ratio;
      console.log(`${key}, ours over ${name}: ${ratio.toFixed(2)}`);
    }
  }
  return { median: summary, median_of_ratios };
}

need(options.model, "cargo xtask model");
const names = Object.keys(CONTENDERS).filter((name) => !options.without.split(",").includes(name));
if (names.some((name) => name.startsWith("ours"))) need(join(options.engine, "apprentice_bg.wasm"), "cargo xtask page");
const require = install();
const { chromium } = require("playwright-core");
const load = loadavg()[0];
const { server, address } = await serve();
const browser = await chromium.launch({ executablePath: browserPath(), args: ["--no-sandbox", "--enable-unsafe-webgpu"] });
const tabs = [];
for (const name of names) tabs.push(await open(browser, address, name));
const runs = {
  ...(await group(tabs, "cpu", Number(options.rounds))),
  ...(await group(tabs, "gpu", Number(options["gpu-rounds"]))),
};
const versions = JSON.parse(readFileSync(join(here, "package.json"), "utf8")).dependencies;
const date = new Date().toISOString().slice(0, 10);
const result = {
  date,
  commit: execFileSync("git", ["rev-parse", "--short", "HEAD"], { cwd: root, encoding: "utf8" }).trim(),
  machine: { cpu: cpus()[0]?.model, cores: cpus().length, memory_gb: Math.round(totalmem() / 1e9), kernel: release(), load_before: load },
  browser: `Chromium ${browser.version()}`,
  versions,
  model: basename(options.model),
  contenders: Object.fromEntries(tabs.map((tab) => [tab.name, { ...tab.info, failed: tab.failed }])),
  ...report(runs),
  runs,
};
const out = options.out ?? join(root, "bench/results", `${date}-browser-peers.json`);
writeFileSync(out, `${JSON.stringify(result, null, 1)}\n`);
await browser.close();
server.close();
process.exit(0);
