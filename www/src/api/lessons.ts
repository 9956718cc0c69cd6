/**
 * Lessons as a program writes them, in the engine's form.
 *
 * It knows nothing of what becomes of them. Invariant: every lesson has a source that a person can read later, and is one of
 * three kinds, told by its fields.
 */

import type { Lesson, Message } from "../engine/contract";
import { EngineError } from "../engine/protocol";

interface Common {
  /**
   * Where it came from. `teach` (the default) and `chat` say that it is a person's own word, which is believed; with any other
   * source, what contradicts an answer that the model is sure of is set aside until `data.release` lets it in.
   */
  source?: string;
}

interface Answered extends Common {
  /** `correction` (the default): this answer is to be given; `approval`: the model gave it and it was good. */
  kind?: "correction" | "approval";
  /** The answer that was corrected. */
  rejected?: string;
}

/**
 * A question with its answer, a conversation whose last message is the assistant's and is learned, or a text.
 */
export type AnyLesson =
  | (Answered & { prompt: string; answer: string })
  | (Answered & { messages: Message[] })
  | (Common & { text: string });

/** A person at the keyboard, as the engine tells them from files. */
const SOURCE = "teach";

export function toLesson(lesson: AnyLesson, row: number): Lesson {
  const source = lesson.source ?? SOURCE;
  if ("text" in lesson) return { kind: "document", text: lesson.text, source };
  const { kind = "correction", rejected } = lesson;
  const common = { kind, source, ...(rejected === undefined ? {} : { rejected }) };
  if ("messages" in lesson) return { ...common, messages: lesson.messages };
  const { prompt, answer } = lesson;
  if (typeof prompt !== "string" || typeof answer !== "string") {
    const what = "`prompt` with `answer`, `messages`, or `text`";
    throw new EngineError(`lesson ${row + 1}: needs ${what}`, "refused");
  }
  const messages: Message[] = [
    { role: "user", content: prompt },
    { role: "assistant", content: answer },
  ];
  return { ...common, messages };
}
