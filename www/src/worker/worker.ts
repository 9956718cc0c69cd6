/**
 * The worker that owns the engine: it loads it, and runs one call at a time in the order they came.
 *
 * It knows nothing of the screen, and no other code holds the engine. Invariant: two kinds of call
 * overtake: `stop`, and questions while long work runs, which the engine answers between its steps;
 * beside a running call the engine never sees any other. A lost GPU ends every call.
 */

import type { Engine, EngineModule } from "../engine/contract";
import { ENGINE_LOCK, ofHome } from "../engine/names";
import {
  EngineError,
  type ErrorCode,
  type LoadParams,
  type Method,
  type Methods,
  type Reply,
  type Request,
} from "../engine/protocol";
import { eraseHome, exportHome, importHome } from "./home";
import { deleteModel } from "./library";
import { openModel, survey } from "./model";
import { packPeft, unpackPeft } from "./peft-file";
import { type Home, openHome } from "./store";
import { askForSubgroups } from "./subgroups";

type Handler<M extends Method> = (
  params: Methods[M]["params"],
  emit: (event: Methods[M]["event"]) => void,
) => Promise<Methods[M]["result"]>;

/** Calls that run long, let questions in, and can be stopped. */
const LONG: ReadonlySet<Method | undefined> = new Set<Method>([
  "learn",
  "adopt",
  "evaluate",
  "forget",
]);
/** A reload's old worker needs a moment to let go of the lock. */
const LOCK_PATIENCE_MS = { usual: 1_500, patient: 15_000 };

let engine: Engine | undefined;
let running: Method | undefined;
let queue: Promise<void> = Promise.resolve();
/** Questions that came while long work ran. */
let questions: Promise<void> = Promise.resolve();
let opened: Promise<Home> | undefined;
/** Rejected when the GPU is lost: what waits for it might wait for ever. */
const lost = Promise.withResolvers<never>();
lost.promise.catch(() => undefined);

const handlers: { [M in Method]: Handler<M> } = {
  survey: ({ base }) => survey(base),
  load,
  info: async () => told(),
  chat: ({ messages, options }, emit) => loaded().chat(messages, options, emit),
  teach: (lessons) => loaded().teach(lessons),
  learn: (options, emit) => loaded().learn(options, emit),
  adopt: ({ version, options }, emit) => loaded().adopt(version, options, emit),
  evaluate: (options, emit) => loaded().evaluate(options, emit),
  log: () => loaded().log(),
  journal: async () => loaded().journal(),
  rollback: (version) => loaded().rollback(version),
  examples: () => loaded().examples(),
  tag: ({ name, version }) => nothing(loaded().tag(name, version)),
  untag: (name) => nothing(loaded().untag(name)),
  forget: (id, emit) => loaded().forget(id, emit),
  deleteExample: (id) => nothing(loaded().delete_example(id)),
  releaseExample: (id) => nothing(loaded().release_example(id)),
  exportVersion: async ({ version, form }) => {
    if (form === "peft") return packPeft(await loaded().export_peft(version));
    return loaded().export_version(version, form);
  },
  importVersion: async ({ bytes, note }) => {
    const peft = unpackPeft(bytes);
    if (peft) return loaded().import_peft(peft.config, peft.weights, note);
    return loaded().import_version(bytes, note);
  },
  deleteModel: (key) => nothing(deleteModel(key)),
  exportHome: async () => exportHome((await home()).store),
  importHome: async (file) => nothing(importHome((await home()).store, file)),
  erase: async () => nothing(eraseHome((await home()).store)),
  stop: async (what) => {
    // A flag set while nothing runs could end the next call before it began.
    if (what === "chat" || LONG.has(running)) loaded().stop(what);
    return null;
  },
};

self.onmessage = ({ data }: MessageEvent<Request>) => {
  if (data.method === "stop") void run(data);
  else if (data.method === "chat" && LONG.has(running)) {
    questions = questions.then(() => run(data));
  } else {
    queue = queue.then(async () => {
      // A question may be on its last words when the work has ended.
      await questions;
      running = data.method;
      await run(data);
      running = undefined;
    });
  }
};

async function run<M extends Method>({ id, method, params }: Request<M>): Promise<void> {
  const reply = (message: Reply) => self.postMessage(message);
  try {
    const handler = handlers[method] as Handler<M>;
    const work = handler(params, (event) => reply({ id, event }));
    reply({ id, result: await Promise.race([work, lost.promise]) });
  } catch (error) {
    reply({ id, error: described(error) });
  }
}

async function load(
  params: LoadParams,
  emit: (event: Methods["load"]["event"]) => void,
): Promise<Methods["load"]["result"]> {
  await own(params.storage, params.patient);
  const { store } = await home(params.storage);
  const { source, sha256, key } = await openModel(params.base, params.model, emit);
  emit({ phase: "engine", done: 0, total: 0 });
  askForSubgroups((reason) => {
    lost.reject(
      new EngineError(`the GPU was lost (${reason}); load the model again`, "lost-device"),
    );
  });
  const { script, wasm } = params.engine;
  const module = (await import(/* @vite-ignore */ script)) as EngineModule;
  await module.default(wasm === null ? undefined : { module_or_path: wasm });
  engine = await module.Engine.load(source, store, { device: params.device }, emit);
  const { model_hash } = engine.info();
  if (sha256 !== null && sha256 !== model_hash) {
    engine = undefined;
    if (key !== null) await deleteModel(key).catch(() => undefined);
    throw new EngineError(`the model is damaged (sha256 ${model_hash}); fetch it again`, "failed");
  }
  if (params.suitesPath !== null) await useSuites(engine, params.base, params.suitesPath);
  return told();
}

/** The home: the first to ask says which, and `load` is the first that may choose. */
function home(name: string | null = ""): Promise<Home> {
  opened ??= openHome(name);
  return opened;
}

/** Becomes the one worker that has this home; the lock is held until it ends. */
async function own(name: string | null, patient: boolean): Promise<void> {
  // What is kept nowhere is nobody else's.
  if (name === null) return;
  const lock = ofHome(ENGINE_LOCK, name);
  const patience_ms = patient ? LOCK_PATIENCE_MS.patient : LOCK_PATIENCE_MS.usual;
  return new Promise((resolve, reject) => {
    navigator.locks
      .request(lock, { signal: AbortSignal.timeout(patience_ms) }, () => {
        resolve();
        return new Promise<never>(() => undefined);
      })
      .catch(() => reject(new EngineError("Apprentice is open in another tab", "elsewhere")));
  });
}

async function useSuites(target: Engine, base: string, path: string): Promise<void> {
  const directory = new URL(path.endsWith("/") ? path : `${path}/`, base);
  if (directory.origin !== new URL(base).origin) {
    throw new EngineError(`${path} is not on this page's own origin`, "failed");
  }
  const read = async (name: string) => {
    const reply = await fetch(new URL(name, directory));
    if (!reply.ok) throw new EngineError(`${name}: the server answered ${reply.status}`, "failed");
    return reply.text();
  };
  target.set_suites(
    await read("core.jsonl"),
    await read("language.jsonl"),
    await read("refusals.jsonl"),
  );
}

/** What the engine says of itself, and what the page's home adds. */
async function told(): Promise<Methods["info"]["result"]> {
  const info = loaded().info();
  const gpu = "gpu" in navigator;
  const reason = info.device === "cpu" && !gpu ? "this browser has no WebGPU" : info.reason;
  const warnings = [...(info.warnings ?? [])];
  if ((await home()).isRefused) {
    warnings.push("this browser keeps nothing here: what you teach is gone when the tab is closed");
  }
  return { ...info, reason, warnings };
}

async function nothing(work: Promise<unknown>): Promise<null> {
  await work;
  return null;
}

function loaded(): Engine {
  if (!engine) throw new EngineError("the model is not loaded yet", "failed");
  return engine;
}

function described(error: unknown): { message: string; code: ErrorCode } {
  if (error instanceof EngineError) return { message: error.message, code: error.code };
  const message = error instanceof Error ? error.message : String(error);
  return { message, code: codeOf(message, error) };
}

function codeOf(message: string, error: unknown): ErrorCode {
  if (message.includes("stopped by the user")) return "stopped";
  if (message.includes("the GPU was lost")) return "lost-device";
  const name = error instanceof DOMException ? error.name : "";
  return name === "QuotaExceededError" || /quota/i.test(message) ? "quota" : "failed";
}
