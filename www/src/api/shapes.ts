/**
 * What goes into a chat completion and comes out of it: the shapes of OpenAI's HTTP interface.
 *
 * It knows nothing of the engine; it is types only. Invariant: a field has the name and the meaning that OpenAI's
 * documentation gives it, and one that this engine has not is left out.
 */

import type { Message } from "../engine/contract";

/**
 * The shape that an answer must have: any JSON object, or JSON of a schema. A schema that cannot be held to is refused with an
 * {@link EngineError}.
 */
export type ResponseFormat =
  | { type: "text" }
  | { type: "json_object" }
  | {
      type: "json_schema";
      json_schema: { name: string; schema?: object; strict?: boolean; description?: string };
    };

/** What `chat.completions.create` takes. Anything else is refused, never ignored. */
export interface CompletionRequest {
  /** The conversation; the last message is the one that is answered. */
  messages: Message[];
  /** Who answers: `apprentice` (the version at HEAD, the default), `base`, or a version's id or tag. */
  model?: string;
  /** 0 takes the likeliest token each time. */
  temperature?: number;
  /** Only the likeliest tokens that make up this share are drawn from; above 0, at most 1. */
  top_p?: number;
  /** The same seed, question and version give the same answer on the same device. */
  seed?: number;
  /** Most tokens of the answer; 512 unless it is said. */
  max_completion_tokens?: number;
  /** OpenAI's older name of `max_completion_tokens`. */
  max_tokens?: number;
  /** The answer ends before the first of these texts; up to four. */
  stop?: string | string[];
  /** Whether the answer comes in chunks. */
  stream?: boolean;
  /** With `include_usage` the last chunk has no choice, and the counts of tokens. */
  stream_options?: { include_usage?: boolean };
  response_format?: ResponseFormat;
}

/** `stop`: the answer was over, or came to a stop text; `length`: it had all the tokens that it was given. */
export type FinishReason = "stop" | "length";

/** The model's message. */
export interface ChatCompletionMessage {
  role: "assistant";
  content: string;
  refusal: null;
}

/** Counts of tokens. */
export interface CompletionUsage {
  prompt_tokens: number;
  completion_tokens: number;
  total_tokens: number;
  prompt_tokens_details: {
    /** Tokens of the prompt that had not to be read again. */
    cached_tokens: number;
  };
}

/** A whole answer. */
export interface ChatCompletion {
  id: string;
  object: "chat.completion";
  /** Seconds since 1970. */
  created: number;
  model: string;
  choices: {
    index: number;
    message: ChatCompletionMessage;
    finish_reason: FinishReason;
    logprobs: null;
  }[];
  usage: CompletionUsage;
}

/** A piece of an answer. */
export interface ChatCompletionChunk {
  id: string;
  object: "chat.completion.chunk";
  /** Seconds since 1970; the same in all chunks of an answer. */
  created: number;
  model: string;
  choices: {
    index: number;
    delta: { role?: "assistant"; content?: string };
    finish_reason: FinishReason | null;
    logprobs: null;
  }[];
  usage?: CompletionUsage | null;
}
