/**
 * A completion's request, read field by field: what OpenAI's shape says, as the engine's options.
 *
 * It knows nothing of answers. Invariant: a field that is not known, or has a value that would not be honoured, is
 * refused by its name: nothing that would change the answer is ignored.
 */

import type { ChatOptions, Message } from "../engine/contract";
import { EngineError } from "../engine/protocol";
import type { CompletionRequest } from "./shapes";

/** The name of the version at HEAD. */
export const HEAD_MODEL = "apprentice";
const STOPS_MAX = 4;

/** A request as the engine takes it. */
export interface ReadRequest {
  messages: Message[];
  options: ChatOptions;
  model: string;
  stops: string[];
  usage: boolean;
}

const KNOWN: ReadonlySet<string> = new Set<keyof CompletionRequest>([
  "messages",
  "model",
  "temperature",
  "top_p",
  "seed",
  "max_completion_tokens",
  "max_tokens",
  "stop",
  "stream",
  "stream_options",
  "response_format",
]);

export function readRequest(request: CompletionRequest): ReadRequest {
  for (const [name, value] of Object.entries(request)) {
    if (value !== undefined && value !== null && !KNOWN.has(name)) {
      throw refused(name, "is not known here");
    }
  }
  const model = request.model ?? HEAD_MODEL;
  const format = request.response_format;
  const tokens_max = request.max_completion_tokens ?? request.max_tokens;
  return {
    messages: messagesOf(request.messages),
    options: {
      ...number("temperature", request.temperature, (value) => value >= 0),
      ...number("top_p", request.top_p, (value) => value > 0 && value <= 1),
      ...number("seed", request.seed, (value) => Number.isSafeInteger(value) && value >= 0),
      ...number("tokens_max", tokens_max, (value) => Number.isSafeInteger(value) && value > 0),
      ...(model === HEAD_MODEL ? {} : { version: model }),
      ...(format && format.type !== "text" ? { response_format: format } : {}),
    },
    model,
    stops: stopsOf(request.stop),
    usage: request.stream_options?.include_usage === true,
  };
}

function messagesOf(messages: unknown): Message[] {
  if (!Array.isArray(messages) || messages.length === 0) {
    throw refused("messages", "needs at least one message");
  }
  return messages.map((message: unknown, row) => {
    const { role, content } = (message ?? {}) as Record<string, unknown>;
    if (role !== "system" && role !== "user" && role !== "assistant") {
      throw refused(`messages[${row}].role`, "must be system, user or assistant");
    }
    if (typeof content !== "string") throw refused(`messages[${row}].content`, "must be a text");
    return { role, content };
  });
}

function number<Name extends keyof ChatOptions>(
  name: Name,
  value: number | null | undefined,
  fits: (value: number) => boolean,
): Partial<ChatOptions> {
  if (value === undefined || value === null) return {};
  if (typeof value === "number" && fits(value)) return { [name]: value };
  throw refused(name === "tokens_max" ? "max_completion_tokens" : name, `cannot be ${value}`);
}

function stopsOf(stop: string | string[] | null | undefined): string[] {
  const stops = typeof stop === "string" ? [stop] : (stop ?? []);
  const good = stops.every((text) => typeof text === "string" && text !== "");
  if (!good || stops.length > STOPS_MAX) {
    throw refused("stop", `takes up to ${STOPS_MAX} texts, none of them empty`);
  }
  return stops;
}

function refused(name: string, why: string): EngineError {
  return new EngineError(`${name}: ${why}`, "refused");
}
