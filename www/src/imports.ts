/**
 * Files that the user drops become lessons: conversations from .jsonl and from ChatGPT's export, documents from the rest.
 *
 * It knows nothing of the engine. Invariant: a file is taken whole or refused with the line that
 * is wrong; never in part.
 */

import { exportedLessons, isExport } from "./chatgpt";
import type { Lesson, Message } from "./engine/contract";
import type { Placed } from "./folders";

const FILE_BYTES_MAX = 4 * 2 ** 20;
const LESSONS_MAX = 2_000;

/** Lessons of one file. */
export async function lessonsOf({ file, path }: Placed): Promise<Lesson[]> {
  const lessons = isExport(file.name) ? await exportedLessons(file) : await linesOf(file, path);
  if (lessons.length > LESSONS_MAX) {
    throw new Error(`${path} has ${lessons.length} lessons; at most ${LESSONS_MAX} at once`);
  }
  return lessons;
}

async function linesOf(file: File, path: string): Promise<Lesson[]> {
  if (file.size > FILE_BYTES_MAX) throw new Error(`${path} is larger than 4 MiB`);
  const text = await file.text();
  if (text.includes("\u0000")) throw new Error(`${path} is not a text file`);
  if (text.trim() === "") throw new Error(`${path} is empty`);
  if (!path.endsWith(".jsonl")) return [{ kind: "document", text, source: path }];
  const lessons: Lesson[] = [];
  for (const [row, line] of text.split("\n").entries()) {
    if (line.trim() === "") continue;
    lessons.push(lessonOf(line, `${path}, line ${row + 1}`, path));
  }
  return lessons;
}

function lessonOf(line: string, place: string, source: string): Lesson {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    throw new Error(`${place}: this is not JSON`);
  }
  const record = (typeof value === "object" && value !== null ? value : {}) as Record<
    string,
    unknown
  >;
  const rejected = typeof record["rejected"] === "string" ? { rejected: record["rejected"] } : {};
  if (Array.isArray(record["messages"])) {
    const messages = record["messages"].map((message) => messageOf(message, place));
    if (messages.at(-1)?.role !== "assistant") {
      throw new Error(`${place}: the last message must be the assistant's`);
    }
    return { kind: "correction", messages, source, ...rejected };
  }
  const prompt = firstText(record, ["prompt", "question", "instruction"]);
  const answer = firstText(record, ["answer", "completion", "response", "output"]);
  if (prompt !== null && answer !== null) {
    const messages: Message[] = [
      { role: "user", content: prompt },
      { role: "assistant", content: answer },
    ];
    return { kind: "correction", messages, source, ...rejected };
  }
  const text = firstText(record, ["text"]);
  if (text !== null) return { kind: "document", text, source };
  throw new Error(`${place}: needs "messages", "prompt" with "answer", or "text"`);
}

function messageOf(value: unknown, place: string): Message {
  const { role, content } = (value ?? {}) as Record<string, unknown>;
  if (
    (role === "system" || role === "user" || role === "assistant") &&
    typeof content === "string"
  ) {
    return { role, content };
  }
  throw new Error(`${place}: a message needs a role and a content`);
}

function firstText(record: Record<string, unknown>, names: string[]): string | null {
  for (const name of names) {
    const value = record[name];
    if (typeof value === "string" && value.trim() !== "") return value;
  }
  return null;
}
