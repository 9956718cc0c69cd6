/**
 * `chat.completions.create`: OpenAI's shape in, OpenAI's shape out, one engine behind it.
 *
 * It knows nothing of workers. Invariant: the chunks of a stream put together are the answer, and the last one with a choice
 * says why it ended.
 */

import type { ChatResult } from "../engine/contract";
import { HEAD_MODEL, type ReadRequest, readRequest } from "./request";
import type { CallOptions, Session } from "./session";
import type {
  ChatCompletion,
  ChatCompletionChunk,
  CompletionRequest,
  CompletionUsage,
  FinishReason,
} from "./shapes";
import { Stops } from "./stops";
import { EventStream } from "./stream";

/** Answers; `stream` says whether at once or in chunks. */
export interface Completions {
  create(
    request: CompletionRequest & { stream: true },
    options?: CallOptions,
  ): Promise<EventStream<ChatCompletionChunk>>;
  create(
    request: CompletionRequest & { stream?: false },
    options?: CallOptions,
  ): Promise<ChatCompletion>;
  create(
    request: CompletionRequest,
    options?: CallOptions,
  ): Promise<ChatCompletion | EventStream<ChatCompletionChunk>>;
}

/** As in OpenAI's client. */
export interface Chat {
  completions: Completions;
}

/** How an answer ended. */
interface Ended {
  reason: FinishReason;
  usage: CompletionUsage;
}

export function chatOf(session: Session): Chat {
  async function create(request: CompletionRequest, { signal }: CallOptions = {}) {
    const read = readRequest(request);
    signal?.throwIfAborted();
    return request.stream ? streamed(session, read, signal) : whole(session, read, signal);
  }
  return { completions: { create: create as Completions["create"] } };
}

async function whole(
  session: Session,
  read: ReadRequest,
  signal?: AbortSignal,
): Promise<ChatCompletion> {
  let content = "";
  const { reason, usage } = await answer(session, read, (text) => (content += text), signal);
  const message = { role: "assistant" as const, content: content.trim(), refusal: null };
  return {
    ...head(read.model),
    object: "chat.completion",
    choices: [{ index: 0, message, finish_reason: reason, logprobs: null }],
    usage,
  };
}

function streamed(
  session: Session,
  read: ReadRequest,
  signal?: AbortSignal,
): EventStream<ChatCompletionChunk> {
  const common = { ...head(read.model), object: "chat.completion.chunk" as const };
  const none = read.usage ? { usage: null } : {};
  return new EventStream(async (tell, signal) => {
    const say = (
      delta: { role?: "assistant"; content?: string },
      finish_reason: FinishReason | null = null,
    ) =>
      tell({
        ...common,
        choices: [{ index: 0, delta, finish_reason, logprobs: null }],
        ...none,
      });
    say({ role: "assistant", content: "" });
    const { reason, usage } = await answer(session, read, (content) => say({ content }), signal);
    say({}, reason);
    if (read.usage) tell({ ...common, choices: [], usage });
  }, signal);
}

/** Answers a request piece by piece, up to a stop text. */
async function answer(
  session: Session,
  { messages, options, stops: texts }: ReadRequest,
  tell: (text: string) => void,
  signal?: AbortSignal,
): Promise<Ended> {
  const stops = new Stops(texts);
  const give = (text: string) => text !== "" && tell(text);
  const hear = (piece: string) => {
    give(stops.take(piece));
    return !stops.met;
  };
  const result = await session.call("chat", { messages, options }, { signal }, hear);
  give(stops.rest());
  const reason = result.stop_reason === "length" && !stops.met ? "length" : "stop";
  return { reason, usage: usageOf(result) };
}

function usageOf({ prompt_tokens, generated_tokens, reused_tokens }: ChatResult): CompletionUsage {
  return {
    prompt_tokens,
    completion_tokens: generated_tokens,
    total_tokens: prompt_tokens + generated_tokens,
    prompt_tokens_details: { cached_tokens: reused_tokens },
  };
}

function head(model: string) {
  const created = Math.floor(Date.now() / 1000);
  return { id: `chatcmpl-${crypto.randomUUID()}`, created, model: model || HEAD_MODEL };
}
