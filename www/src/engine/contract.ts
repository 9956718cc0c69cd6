/**
 * What the WASM engine and its page promise each other: the shapes that cross the border.
 *
 * It knows nothing of workers or of the screen; it is types only and leaves no code in the build.
 * Invariant: every byte that the engine keeps goes through `JsStore`, every byte of the model
 * through `JsSource`.
 */

/** Who speaks. */
export type Role = "system" | "user" | "assistant";

/** One message of a conversation. */
export interface Message {
  role: Role;
  content: string;
}

/** A device that the user can ask for; `auto` takes a hardware GPU, else the CPU. */
export type DeviceChoice = "auto" | "gpu" | "cpu";

/** The model's bytes. `read` is synchronous, since the engine streams tensors as it loads. */
export interface JsSource {
  name: string;
  /** Bytes. */
  length: number;
  read(offset: number, length: number): Uint8Array;
}

/** One write of a transaction: `null` deletes. */
export type Write = [table: string, key: string, value: Uint8Array | null];

/** The engine's home: small rows in tables, large blobs by content hash. */
export interface JsStore {
  get(table: string, key: string): Promise<Uint8Array | undefined>;
  /** All rows of a table, in key order. */
  list(table: string): Promise<[key: string, value: Uint8Array][]>;
  /** All writes or none, and durable when the promise resolves. */
  apply(writes: Write[]): Promise<void>;
  putBlob(hash: string, bytes: Uint8Array): Promise<void>;
  getBlob(hash: string): Promise<Uint8Array | undefined>;
  deleteBlob(hash: string): Promise<void>;
  listBlobs(): Promise<string[]>;
}

/** How far something has come; `total` is 0 while it is unknown. */
export interface Progress {
  phase: string;
  done: number;
  total: number;
}

/** What runs, and where. */
export interface Info {
  model: string;
  model_hash: string;
  parameters: number;
  device: "gpu" | "cpu";
  adapter: string;
  tier: string;
  /** Why this device was taken. */
  reason: string;
  /** The version that answers; `null` is the base model. */
  head: string | null;
  /** Tokens. */
  context: number;
  /** The training that the next cycle goes on with, if its options are the same. */
  interrupted: Interrupted | null;
  /** What a person should know since the page was loaded: damage that was healed, doubts. */
  warnings: string[];
}

/** A training run that was cut off or stopped. */
export interface Interrupted {
  /** Steps that are kept. */
  step: number;
  steps_max: number;
  /** How many lessons it teaches. */
  lessons: number;
  at_ms: number;
}

export interface ChatOptions {
  temperature?: number;
  top_k?: number;
  top_p?: number;
  tokens_max?: number;
  seed?: number;
  /** The last message is the beginning of the answer, which goes on from there. */
  goes_on?: boolean;
  /** Who answers: a version's id or `base`; without one HEAD. */
  version?: string;
  /** The shape that the answer must have, as OpenAI writes it. */
  response_format?: object;
}

export interface ChatResult {
  text: string;
  stop_reason: "stop" | "length" | "cancelled";
  prompt_tokens: number;
  /** Prompt tokens whose keys were still in the cache. */
  reused_tokens: number;
  generated_tokens: number;
  /** New prompt tokens a second. */
  prefill_tokens_per_s: number;
  decode_tokens_per_s: number;
}

/** Something to learn: a conversation whose last message is learned, or a text. */
export interface Lesson {
  kind: "correction" | "approval" | "document";
  messages?: Message[];
  text?: string;
  /** Where it came from, for the person who reads the list later. */
  source: string;
  /** The answer that was corrected. */
  rejected?: string;
}

export interface TeachResult {
  added: number;
  duplicates: number;
  /** Earlier lessons whose prompt has another answer now. */
  replaced: number;
  total: number;
}

export interface LearnOptions {
  steps_max?: number;
  /** Items drawn from each suite; where it is absent all, or 40 on the CPU. */
  sample?: number;
  /** Peak learning rate. */
  lr?: number;
}

/** The four stages of a cycle, in order. */
export type LearnPhase = "prepare" | "train" | "evaluate" | "commit";

export type LearnEvent =
  | { type: "phase"; phase: LearnPhase; done?: number; total?: number; detail?: string }
  | {
      type: "step";
      step: number;
      steps_max: number;
      /** Nats a token. */
      loss: number;
      kl: number;
      grad_norm: number;
      /** Lessons that the candidate already answers. */
      learned: number;
      total: number;
      seconds_left: number;
    }
  /** The training goes on where an interrupted one was. */
  | { type: "resumed"; step: number; steps_max: number }
  /** The training up to here outlives the tab. */
  | { type: "kept"; step: number }
  | {
      type: "suite";
      suite: SuiteName;
      /** The share of the way to the candidate that is examined; 0 is HEAD. */
      scale: number;
      done: number;
      total: number;
    };

export interface EvaluateOptions {
  /** One suite; without it all. */
  suite?: SuiteName;
  /** A version's id or name, or `base`; without one HEAD. */
  version?: string;
  /** Items of each suite; without it all, or few on the CPU. */
  sample?: number;
}

/** What a candidate is examined in. */
export type SuiteName =
  | "taught"
  | "rephrased"
  | "documents"
  | "kept"
  | "kept_documents"
  | "core"
  | "language"
  | "refusals"
  | "everyday"
  | "variety";

/** A suite's score before and after: a share of 1; language and documents are in nats a token. */
export interface SuiteScore {
  before: number;
  after: number;
  n: number;
  /** One-sided: that what was taught gained nothing, that the rest lost nothing. Small is proof. */
  p: number | null;
}

export type Suites = Partial<Record<SuiteName, SuiteScore>>;

/** A suite's score: the share that is right, where items can be, and the mean loss in nats. */
export interface EvaluatedSuite {
  accuracy: number | null;
  loss: number;
  n: number;
}

export type Evaluation = Partial<Record<SuiteName, EvaluatedSuite>>;

export type Verdict = "promoted" | "held" | "rejected";

export interface CycleReport {
  verdict: Verdict;
  reason: string;
  version: string | null;
  suites: Suites;
  loss_first: number;
  loss_last: number;
  seconds: number;
  scale: number;
  learned: number;
  taught: number;
  /** What was believed though the model was sure of something else. */
  notes?: string[];
}

/** One entry of the adapter history. */
export interface Version {
  id: string;
  parent: string | null;
  created_ms: number;
  head: boolean;
  note: string;
  examples: string[];
  suites: Suites;
  scale: number;
  /** Names that a person gave it. */
  tags: string[];
  /** Where it came from, if it was not learned here: such a version becomes HEAD only by `adopt`. */
  origin: string | null;
}

/** What forgetting an example did. */
export interface ForgetReport {
  example: string;
  /** What each version that had seen it became; `null` is the base model. */
  became: Record<string, string | null>;
  /** Versions that had seen it and that nothing needed. */
  dropped: string[];
  /** Cycles that ran again without it. */
  cycles: number;
  head: string | null;
  /** Why HEAD may differ from what it would have been. */
  doubts: string[];
}

export interface Example {
  id: string;
  kind: "correction" | "approval" | "document" | "synthetic" | "anchor";
  prompt: string;
  answer: string;
  text: string;
  /** The whole conversation; empty where it is a text. */
  messages: Message[];
  /** The answer that was corrected. */
  rejected: string | null;
  source: string;
  created_ms: number;
  uses: number;
  learned: boolean;
  /** Why it is kept out of training, if it is. */
  set_aside: string | null;
}

/** What happened to HEAD, or did not. */
export interface JournalEntry {
  number: number;
  at_ms: number;
  action: string;
  from: string | null;
  to: string | null;
  note: string;
  report: CycleReport | null;
}

/** `gguf` is llama.cpp's, `peft` a zip of PEFT's two files, `adapter` the engine's own and exact. */
export type AdapterForm = "gguf" | "peft" | "adapter";

/** A loaded engine. One chat at a time, also while it learns: the worker sees to it. */
export interface Engine {
  info(): Info;
  chat(
    messages: Message[],
    options: ChatOptions,
    onToken: (text: string) => void,
  ): Promise<ChatResult>;
  teach(lessons: Lesson[]): Promise<TeachResult>;
  learn(options: LearnOptions, onEvent: (event: LearnEvent) => void): Promise<CycleReport>;
  /** Examines an imported version beside HEAD, and takes it in if it passes. */
  adopt(
    version: string,
    options: LearnOptions,
    onEvent: (event: LearnEvent) => void,
  ): Promise<CycleReport>;
  /** Events of type `suite`. */
  evaluate(
    options: EvaluateOptions,
    onEvent: (event: LearnEvent) => void,
  ): Promise<Evaluation>;
  log(): Promise<Version[]>;
  tag(name: string, version: string): Promise<void>;
  untag(name: string): Promise<void>;
  /** `null` goes to HEAD's parent, `"base"` to the model without an adapter. */
  rollback(version: string | null): Promise<{ head: string | null }>;
  examples(): Promise<Example[]>;
  delete_example(id: string): Promise<void>;
  /** Rebuilds what had learned from it, cycle by cycle. */
  forget(id: string, onEvent: (event: LearnEvent) => void): Promise<ForgetReport>;
  release_example(id: string): Promise<void>;
  /** The oldest first. */
  journal(): JournalEntry[];
  export_version(version: string, form: "gguf" | "adapter"): Promise<Uint8Array<ArrayBuffer>>;
  /** Either form; HEAD stays. Gives the new version's id. */
  import_version(bytes: Uint8Array, note: string): Promise<string>;
  /** `adapter_config.json` and `adapter_model.safetensors`. */
  export_peft(version: string): Promise<Uint8Array<ArrayBuffer>[]>;
  import_peft(config: Uint8Array, weights: Uint8Array, note: string): Promise<string>;
  set_suites(core: string, language: string, refusals: string): void;
  stop(what: "chat" | "learn"): void;
}

/** The module at `engine/apprentice.js`. */
export interface EngineModule {
  /** Fetches the bytes, from beside the script unless it is told another address. */
  default(options?: { module_or_path: string }): Promise<unknown>;
  Engine: {
    load(
      source: JsSource,
      store: JsStore,
      options: { device: DeviceChoice; seed?: number; template_args?: Record<string, unknown> },
      onProgress: (progress: Progress) => void,
    ): Promise<Engine>;
  };
}
