/**
 * The worker that owns the engine: it loads it, and runs one call at a time in the order they came.
 *
 * It knows nothing of the screen, and no other code holds the engine. Invariant: only `stop` may
 * overtake; the engine itself never sees two calls at once.
 */

import type { Engine, EngineModule } from "../engine/contract";
import {
  EngineError,
  type ErrorCode,
  type LoadParams,
  type Method,
  type Methods,
  type Reply,
  type Request,
} from "../engine/protocol";
import { fetchModel } from "./model";
import { fileSource } from "./source";
import { openStore } from "./store";
import { askForSubgroups } from "./subgroups";

type Handler<M extends Method> = (
  params: Methods[M]["params"],
  emit: (event: Methods[M]["event"]) => void,
) => Promise<Methods[M]["result"]>;

const LOCK = "apprentice-engine";
/** A reload's old worker needs a moment to let go of the lock. */
const LOCK_PATIENCE_MS = { usual: 2_500, patient: 15_000 };

let engine: Engine | undefined;
let running: Method | undefined;
let queue: Promise<void> = Promise.resolve();

const handlers: { [M in Method]: Handler<M> } = {
  load,
  info: async () => loaded().info(),
  chat: ({ messages, options }, emit) => loaded().chat(messages, options, emit),
  teach: (lessons) => loaded().teach(lessons),
  learn: (options, emit) => loaded().learn(options, emit),
  log: () => loaded().log(),
  rollback: (version) => loaded().rollback(version),
  examples: () => loaded().examples(),
  deleteExample: async (id) => {
    await loaded().delete_example(id);
    return null;
  },
  stop: async () => {
    // A flag set while nothing runs could end the next call before it began.
    if (running === "chat" || running === "learn") loaded().stop();
    return null;
  },
};

self.onmessage = ({ data }: MessageEvent<Request>) => {
  if (data.method === "stop") void run(data);
  else queue = queue.then(() => run(data));
};

async function run<M extends Method>({ id, method, params }: Request<M>): Promise<void> {
  const reply = (message: Reply) => self.postMessage(message);
  const overtakes = method === "stop";
  if (!overtakes) running = method;
  try {
    const handler = handlers[method] as Handler<M>;
    reply({ id, result: await handler(params, (event) => reply({ id, event })) });
  } catch (error) {
    reply({ id, error: described(error) });
  } finally {
    if (!overtakes) running = undefined;
  }
}

async function load(
  params: LoadParams,
  emit: (event: Methods["load"]["event"]) => void,
): Promise<Methods["load"]["result"]> {
  await own(params.patient);
  const source = params.file
    ? fileSource(params.file)
    : await fetchModel(params.base, params.modelPath, emit);
  emit({ phase: "engine", done: 0, total: 0 });
  askForSubgroups();
  const address = new URL("engine/apprentice.js", params.base).href;
  const module = (await import(/* @vite-ignore */ address)) as EngineModule;
  await module.default();
  engine = await module.Engine.load(source, await openStore(), { device: params.device }, emit);
  if (params.suitesPath !== null) await useSuites(engine, params.base, params.suitesPath);
  return engine.info();
}

/** Becomes the one tab that runs the engine; the lock is held until this worker ends. */
function own(patient: boolean): Promise<void> {
  const patience_ms = patient ? LOCK_PATIENCE_MS.patient : LOCK_PATIENCE_MS.usual;
  return new Promise((resolve, reject) => {
    navigator.locks
      .request(LOCK, { signal: AbortSignal.timeout(patience_ms) }, () => {
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

function loaded(): Engine {
  if (!engine) throw new EngineError("the model is not loaded yet", "failed");
  return engine;
}

function described(error: unknown): { message: string; code: ErrorCode } {
  if (error instanceof EngineError) return { message: error.message, code: error.code };
  const message = error instanceof Error ? error.message : String(error);
  return { message, code: message.includes("stopped by the user") ? "stopped" : "failed" };
}
