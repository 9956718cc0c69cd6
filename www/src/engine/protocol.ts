/**
 * The messages between the page and the worker: one table of methods, and three kinds of reply.
 *
 * It knows nothing of what the methods do. Invariant: a request is answered by any number of
 * events and then by exactly one result or one error, all under the request's id.
 */

import type {
  AdapterForm,
  ChatOptions,
  ChatResult,
  CycleReport,
  DeviceChoice,
  EvaluateOptions,
  Evaluation,
  Example,
  ForgetReport,
  Info,
  JournalEntry,
  LearnEvent,
  LearnOptions,
  Lesson,
  Message,
  Progress,
  TeachResult,
  Version,
} from "./contract";

/**
 * Which model: this page's own, one on this origin, one by its whole address, one in OPFS by its key, or a file of
 * the disk.
 */
export type ModelChoice =
  | { kind: "page" }
  | { kind: "path"; path: string }
  | { kind: "address"; url: string }
  | { kind: "kept"; key: string }
  | { kind: "file"; file: File };

/** Where the engine's module lies. */
export interface EngineAddress {
  script: string;
  /** Its bytes, where they do not lie beside the script under their own name. */
  wasm: string | null;
}

export interface LoadParams {
  /** The page's folder, with its closing slash: the model lies beside the page. */
  base: string;
  engine: EngineAddress;
  /** The home's name: the page's own is empty, and `null` keeps nothing of what is learned. */
  storage: string | null;
  device: DeviceChoice;
  model: ModelChoice;
  /** A folder on this origin with the suites of a small model. */
  suitesPath: string | null;
  /** Waits for another tab to let go instead of giving up soon. */
  patient: boolean;
}

/** A model in OPFS. */
export interface KeptModel {
  key: string;
  name: string;
  bytes: number;
  /** sha256, where the server announced it. */
  sha256: string | null;
}

/** What can be said before anything is loaded. */
export interface Survey {
  /** What `model.json` names; `null` where no model comes with the page. */
  announced: { name: string; bytes: number; sha256: string } | null;
  /** Whether that model lies here whole. */
  ready: boolean;
  /** Bytes of it that an interrupted download left. */
  partial: number;
  kept: KeptModel[];
  /** Bytes that the browser lets this page have, and those in use; 0 where it does not say. */
  quota: number;
  usage: number;
}

/** Every method: what goes in, what comes out, what is told on the way. */
export interface Methods {
  survey: { params: { base: string }; result: Survey; event: never };
  load: { params: LoadParams; result: Info; event: Progress };
  info: { params: null; result: Info; event: never };
  chat: {
    params: { messages: Message[]; options: ChatOptions };
    result: ChatResult;
    event: string;
  };
  teach: { params: Lesson[]; result: TeachResult; event: never };
  learn: { params: LearnOptions; result: CycleReport; event: LearnEvent };
  log: { params: null; result: Version[]; event: never };
  journal: { params: null; result: JournalEntry[]; event: never };
  rollback: { params: string | null; result: { head: string | null }; event: never };
  examples: { params: null; result: Example[]; event: never };
  adopt: {
    params: { version: string; options: LearnOptions };
    result: CycleReport;
    event: LearnEvent;
  };
  evaluate: { params: EvaluateOptions; result: Evaluation; event: LearnEvent };
  tag: { params: { name: string; version: string }; result: null; event: never };
  untag: { params: string; result: null; event: never };
  forget: { params: string; result: ForgetReport; event: LearnEvent };
  deleteExample: { params: string; result: null; event: never };
  releaseExample: { params: string; result: null; event: never };
  exportVersion: {
    params: { version: string; form: AdapterForm };
    result: Uint8Array<ArrayBuffer>;
    event: never;
  };
  importVersion: { params: { bytes: Uint8Array; note: string }; result: string; event: never };
  deleteModel: { params: string; result: null; event: never };
  /** Everything that the engine keeps, as one file. */
  exportHome: { params: null; result: Blob; event: never };
  /** Puts such a file in the place of what is kept; the engine must be loaded anew. */
  importHome: { params: Blob; result: null; event: never };
  /** Leaves nothing of what was learned; models stay. */
  erase: { params: null; result: null; event: never };
  stop: { params: "chat" | "learn"; result: null; event: never };
}

export type Method = keyof Methods;

export interface Request<M extends Method = Method> {
  id: number;
  method: M;
  params: Methods[M]["params"];
}

/** Why a call failed, where the page does something of its own about it. */
export type ErrorCode =
  | "elsewhere"
  | "no-model"
  | "stopped"
  | "lost-device"
  | "quota"
  | "refused"
  | "failed";

export type Reply =
  | { id: number; event: unknown }
  | { id: number; result: unknown }
  | { id: number; error: { message: string; code: ErrorCode } };

/** Whoever runs calls: this tab's worker, or another tab. */
export interface Link {
  call<M extends Method>(
    method: M,
    params: Methods[M]["params"],
    onEvent?: (event: Methods[M]["event"]) => void,
  ): Promise<Methods[M]["result"]>;
  close(): void;
}

/** An error with a code that survives the way from the worker. */
export class EngineError extends Error {
  constructor(
    message: string,
    readonly code: ErrorCode,
  ) {
    super(message);
    this.name = "EngineError";
  }
}
