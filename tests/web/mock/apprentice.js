/**
 * A stand-in for the WASM engine: the same class, a table for a model.
 *
 * It is never shipped; the test server serves it while the real module is not built. Invariant:
 * everything that it keeps goes through the store that the page gives, so that the tests of what
 * survives a reload test the page's own store.
 */

const encoder = new TextEncoder();
const decoder = new TextDecoder();
const pack = (value) => encoder.encode(JSON.stringify(value));
const unpack = (bytes) => (bytes ? JSON.parse(decoder.decode(bytes)) : undefined);
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

export default async function init() {}

async function hash(bytes) {
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

const promptOf = (messages) => messages.findLast(({ role }) => role === "user")?.content ?? "";

const CANNED = {
  "Explain a rainbow in two sentences.":
    "A rainbow appears when **sunlight enters raindrops**, bends, and reflects off the inside " +
    "of each drop. Because every colour bends by a slightly different angle, the light spreads " +
    "into a band:\n\n- red on the outside\n- violet on the inside\n\n```\nangle = 42°\n```",
};

export class Engine {
  #store;
  #info;
  #journal = [];
  #stopped = { chat: false, learn: false };

  static async load(source, store, options, onProgress) {
    const whole = new Uint8Array(source.length);
    const chunk = 64 * 1024;
    for (let at = 0; at < source.length; at += chunk) {
      const size = Math.min(chunk, source.length - at);
      whole.set(source.read(at, size), at);
      onProgress({ phase: "weights", done: at + size, total: source.length });
    }
    const engine = new Engine();
    engine.#store = store;
    engine.#info = {
      model: "SmolLM2-135M-Instruct",
      model_hash: await hash(whole),
      parameters: 134_515_008,
      device: options.device === "gpu" ? "gpu" : "cpu",
      adapter: options.device === "gpu" ? "SwiftShader" : "",
      tier: options.device === "gpu" ? "subgroups" : "",
      reason: options.device === "auto" ? "no hardware GPU was found" : "it was asked for",
      context: 8192,
      warnings: [],
    };
    await engine.#readHead();
    return engine;
  }

  async #readHead() {
    this.#journal = (await this.#store.list("journal")).map(([, bytes]) => unpack(bytes));
    this.#info.head = unpack(await this.#store.get("refs", "HEAD")) ?? null;
  }

  info() {
    return { ...this.#info };
  }

  async chat(messages, options, onToken) {
    this.#stopped.chat = false;
    if (globalThis.apprenticeLoseDevice) {
      globalThis.apprenticeLoseDevice = false;
      throw new Error("the GPU was lost (a test took it away); load the model again");
    }
    const prompt = promptOf(messages);
    const { version, tokens_max = 512, goes_on } = options;
    const head = version === "base" ? null : (version ?? this.#info.head);
    const blob = head && (await this.#store.getBlob(head));
    const text = unpack(blob)?.[prompt] ?? CANNED[prompt] ?? `I am not sure about “${prompt}”.`;
    const tokens = text.match(/\s*\S+/g);
    const begun = goes_on ? messages.at(-1).content.match(/\s*\S+/g).length : 0;
    const rest = tokens.slice(begun, begun + tokens_max);
    let said = "";
    for (const token of rest) {
      await sleep(12);
      if (this.#stopped.chat) break;
      said += token;
      onToken(token);
    }
    const cut = begun + rest.length < tokens.length ? "length" : "stop";
    return {
      text: said,
      stop_reason: this.#stopped.chat ? "cancelled" : cut,
      prompt_tokens: 12 * messages.length,
      reused_tokens: 0,
      generated_tokens: 9,
      prefill_tokens_per_s: 100,
      decode_tokens_per_s: 31.4,
    };
  }

  async teach(lessons) {
    const before = new Set((await this.#store.list("examples")).map(([key]) => key));
    const writes = [];
    for (const { kind, messages = [], text = "", source } of lessons) {
      const prompt = promptOf(messages);
      const answer = messages.at(-1)?.content ?? "";
      const id = await hash(pack([kind, prompt, answer, text]));
      if (before.has(id)) continue;
      before.add(id);
      const example = {
        id,
        kind,
        prompt,
        answer,
        text,
        messages,
        rejected: null,
        source,
        created_ms: Date.now(),
        uses: 0,
        learned: false,
        set_aside: null,
      };
      writes.push(["examples", id, pack(example)]);
    }
    await this.#store.apply(writes);
    return { added: writes.length, duplicates: lessons.length - writes.length, total: before.size };
  }

  async learn(options, onEvent) {
    this.#stopped.learn = false;
    const examples = await this.examples();
    const steps_max = options.steps_max ?? 24;
    onEvent({ type: "phase", phase: "prepare" });
    await sleep(60);
    onEvent({ type: "phase", phase: "train", done: 0, total: steps_max });
    for (let step = 1; step <= steps_max; step++) {
      await sleep(45);
      if (this.#stopped.learn) throw new Error("stopped by the user");
      const loss =
        0.25 + 2.6 * Math.exp(-step / 7) + 0.12 * Math.sin(step * 2.1) * Math.exp(-step / 20);
      const learned = Math.floor((examples.length * step) / steps_max);
      const seconds_left = 0.045 * (steps_max - step);
      onEvent({
        type: "step",
        step,
        steps_max,
        loss,
        kl: 0.0021 * step,
        grad_norm: 1,
        learned,
        total: examples.length,
        seconds_left,
      });
    }
    onEvent({ type: "phase", phase: "evaluate" });
    for (const suite of ["target", "core", "language", "refusals"]) {
      for (let done = 0; done <= 40; done += 8) {
        await sleep(30);
        if (this.#stopped.learn) throw new Error("stopped by the user");
        onEvent({ type: "suite", suite, done, total: 40 });
      }
    }
    onEvent({ type: "phase", phase: "commit" });
    return this.#commit(examples);
  }

  async #commit(examples) {
    const parent = this.#info.head;
    const answers = { ...unpack(parent ? await this.#store.getBlob(parent) : undefined) };
    for (const { prompt, answer } of examples) answers[prompt] = answer;
    const bytes = pack(answers);
    const id = await hash(bytes);
    const suites = {
      target: { before: 0, after: 1, n: examples.length, p: 0.031 },
      core: { before: 0.825, after: 0.8, n: 40, p: 0.5 },
      language: { before: 3.347, after: 3.352, n: 40, p: 0.412 },
      refusals: { before: 0.95, after: 0.95, n: 40, p: 1 },
    };
    const version = {
      id,
      parent,
      created_ms: Date.now(),
      note: "",
      examples: examples.map((e) => e.id),
      suites,
      scale: 1,
      origin: null,
    };
    const report = {
      verdict: "promoted",
      reason: "What was taught is answered right, and no exam got worse beyond chance.",
      version: id,
      suites,
      loss_first: 2.61,
      loss_last: 0.27,
      seconds: 3.2,
      scale: 1,
      learned: examples.length,
      taught: examples.length,
    };
    const number = (await this.#store.list("journal")).length + 1;
    const entry = { number, at_ms: Date.now(), action: "cycle", from: parent, to: id };
    const line = { ...entry, note: report.reason, report };
    await this.#store.putBlob(id, bytes);
    await this.#store.apply([
      ["journal", String(number).padStart(12, "0"), pack(line)],
      ["versions", id, pack(version)],
      ["refs", "HEAD", pack(id)],
      ...examples.map((e) => ["examples", e.id, pack({ ...e, learned: true, uses: e.uses + 3 })]),
    ]);
    await this.#readHead();
    return report;
  }

  journal() {
    return this.#journal;
  }

  async log() {
    const rows = (await this.#store.list("versions")).map(([, bytes]) => unpack(bytes));
    const names = (await this.#store.list("refs")).filter(([key]) => key.startsWith("tag/"));
    const tagsOf = (id) =>
      names.filter(([, to]) => unpack(to) === id).map(([key]) => key.slice("tag/".length));
    const marked = rows.map((version) => ({
      ...version,
      head: version.id === this.#info.head,
      tags: tagsOf(version.id),
    }));
    return marked.sort((a, b) => b.created_ms - a.created_ms);
  }

  async tag(name, version) {
    if (!/^[\w.-]{1,64}$/.test(name)) throw new Error(`\`${name}\` is no name`);
    await this.#store.apply([["refs", `tag/${name}`, pack(version)]]);
  }

  async untag(name) {
    await this.#store.apply([["refs", `tag/${name}`, null]]);
  }

  async rollback(version) {
    const parent = (await this.log()).find(({ head }) => head)?.parent ?? null;
    const target = version === "base" ? null : (version ?? parent);
    await this.#store.apply([["refs", "HEAD", target === null ? null : pack(target)]]);
    await this.#readHead();
    return { head: this.#info.head };
  }

  async examples() {
    return (await this.#store.list("examples")).map(([, bytes]) => unpack(bytes));
  }

  /** The version that saw it goes; a table has nothing to learn again. */
  async forget(id, onEvent) {
    onEvent({ type: "phase", phase: "prepare", detail: "learning again without the example" });
    const saw = (await this.log()).filter(({ examples }) => examples.includes(id));
    await this.rollback("base");
    const gone = saw.map((version) => ["versions", version.id, null]);
    await this.#store.apply([["examples", id, null], ...gone]);
    const dropped = saw.map((version) => version.id);
    return { example: id, became: {}, dropped, cycles: 0, head: null, doubts: [] };
  }

  async delete_example(id) {
    await this.#store.apply([["examples", id, null]]);
  }

  async release_example(id) {
    const example = unpack(await this.#store.get("examples", id));
    await this.#store.apply([["examples", id, pack({ ...example, set_aside: null })]]);
  }

  async export_version(version) {
    return this.#store.getBlob(version);
  }

  async export_peft(version) {
    return [pack({ peft_type: "LORA" }), await this.#store.getBlob(version)];
  }

  async import_peft(config, weights, note) {
    if (unpack(config).peft_type !== "LORA") throw new Error("this is no adapter");
    return this.import_version(weights, note);
  }

  async import_version(bytes, note) {
    const id = await hash(bytes);
    const times = { parent: null, created_ms: Date.now() };
    const version = { id, ...times, note, examples: [], suites: {}, origin: note };
    await this.#store.putBlob(id, bytes.slice());
    await this.#store.apply([["versions", id, pack({ ...version, scale: 1 })]]);
    return id;
  }

  set_suites(core, language, refusals) {
    for (const lines of [core, language, refusals]) {
      for (const line of lines.trim().split("\n")) JSON.parse(line);
    }
  }

  stop(what) {
    this.#stopped[what] = true;
  }
}
