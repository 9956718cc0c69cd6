/**
 * The npm package `apprentice`: a language model in a browser tab, in OpenAI's shape, that learns.
 *
 * It only names what there is for a program to use. Invariant: what is not exported here may change without notice.
 */

export { Apprentice } from "./apprentice";
export type { CreateOptions, EvaluateCall } from "./apprentice";
export type { Chat, Completions } from "./completions";
export type { Data } from "./data";
export type { AnyLesson } from "./lessons";
export type { CallOptions } from "./session";
export type { EventStream, LearnEvents } from "./stream";
export type { Versions } from "./versions";
export type {
  ChatCompletion,
  ChatCompletionChunk,
  ChatCompletionMessage,
  CompletionRequest,
  CompletionUsage,
  FinishReason,
  ResponseFormat,
} from "./shapes";
export { EngineError } from "../engine/protocol";
export type { ErrorCode } from "../engine/protocol";
export type {
  AdapterForm,
  CycleReport,
  DeviceChoice,
  EvaluateOptions,
  EvaluatedSuite,
  Evaluation,
  Example,
  ForgetReport,
  Info,
  JournalEntry,
  LearnEvent,
  LearnOptions,
  Message,
  Progress,
  Role,
  SuiteName,
  SuiteScore,
  Suites,
  TeachResult,
  Verdict,
  Version,
} from "../engine/contract";
