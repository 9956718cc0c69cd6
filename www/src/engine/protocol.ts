/**
 * The messages between the page and the worker: one table of methods, and three kinds of reply.
 *
 * It knows nothing of what the methods do. Invariant: a request is answered by any number of
 * events and then by exactly one result or one error, all under the request's id.
 */

import type {
  ChatOptions,
  ChatResult,
  CycleReport,
  DeviceChoice,
  Example,
  Info,
  LearnEvent,
  LearnOptions,
  Lesson,
  Message,
  Progress,
  TeachResult,
  Version,
} from "./contract";

export interface LoadParams {
  /** The page's folder, with its closing slash: the engine and the model lie beside the page. */
  base: string;
  device: DeviceChoice;
  /** A path on this origin, instead of the model that `model.json` names. */
  modelPath: string | null;
  /** A file that the user picked or dropped. */
  file: File | null;
  /** A folder on this origin with the suites of a small model. */
  suitesPath: string | null;
  /** Waits for another tab to let go instead of giving up soon. */
  patient: boolean;
}

/** Every method: what goes in, what comes out, what is told on the way. */
export interface Methods {
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
  rollback: { params: string; result: { head: string | null }; event: never };
  examples: { params: null; result: Example[]; event: never };
  deleteExample: { params: string; result: null; event: never };
  stop: { params: null; result: null; event: never };
}

export type Method = keyof Methods;

export interface Request<M extends Method = Method> {
  id: number;
  method: M;
  params: Methods[M]["params"];
}

/** Why a call failed, where the page does something of its own about it. */
export type ErrorCode = "elsewhere" | "no-model" | "stopped" | "failed";

export type Reply =
  | { id: number; event: unknown }
  | { id: number; result: unknown }
  | { id: number; error: { message: string; code: ErrorCode } };

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
