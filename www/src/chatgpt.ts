/**
 * ChatGPT's export: `conversations.json`, or the zip that it comes in, as lessons.
 *
 * It knows nothing of the engine. Invariant: of each conversation the branch that its owner saw last is taken, up to its last
 * answer, and that answer is what is learned; pictures, tools and hidden messages are left out.
 */

import { unzip } from "fflate";
import type { Lesson, Message } from "./engine/contract";

const NAME = "conversations.json";
const BYTES_MAX = 2 ** 28;

interface Node {
  parent?: unknown;
  message?: {
    author?: { role?: unknown };
    content?: { content_type?: unknown; parts?: unknown };
    metadata?: { is_visually_hidden_from_conversation?: unknown };
  } | null;
}

interface Conversation {
  title?: unknown;
  current_node?: unknown;
  mapping?: unknown;
}

export function isExport(name: string): boolean {
  return name === NAME || name.endsWith(".zip");
}

export async function exportedLessons(file: File): Promise<Lesson[]> {
  if (file.size > BYTES_MAX) throw new Error(`${file.name} is larger than 256 MiB`);
  const text = file.name.endsWith(".zip") ? await unpacked(file) : await file.text();
  let all: unknown;
  try {
    all = JSON.parse(text);
  } catch {
    throw new Error(`${file.name}: this is not JSON`);
  }
  if (!Array.isArray(all)) throw new Error(`${file.name} is no list of conversations`);
  const lessons = all.flatMap((conversation: Conversation) => lessonOf(conversation, file.name));
  if (lessons.length === 0) throw new Error(`${file.name} has no conversation with an answer`);
  return lessons;
}

function unpacked(file: File): Promise<string> {
  const filter = ({ name, originalSize }: { name: string; originalSize: number }) =>
    (name === NAME || name.endsWith(`/${NAME}`)) && originalSize <= BYTES_MAX;
  return file.arrayBuffer().then(
    (bytes) =>
      new Promise((resolve, reject) =>
        unzip(new Uint8Array(bytes), { filter }, (error, files) => {
          const [found] = Object.values(files ?? {});
          if (found) resolve(new TextDecoder().decode(found));
          else reject(new Error(`${file.name} ${error ? "is damaged" : `holds no ${NAME}`}`));
        }),
      ),
  );
}

function lessonOf({ title, current_node, mapping }: Conversation, name: string): Lesson[] {
  const nodes = (typeof mapping === "object" ? mapping : null) as Record<string, Node> | null;
  const messages: Message[] = [];
  const seen = new Set<unknown>();
  // From the last node up; a file from outside may name a node twice.
  for (let at = current_node; typeof at === "string" && nodes && !seen.has(at); ) {
    seen.add(at);
    const node: Node | undefined = Object.hasOwn(nodes, at) ? nodes[at] : undefined;
    const message = messageOf(node);
    // What came after the last answer was never answered.
    if (message && (messages.length > 0 || message.role === "assistant")) messages.unshift(message);
    at = node?.parent;
  }
  if (!messages.some(({ role }) => role === "user")) return [];
  const source = typeof title === "string" && title !== "" ? `${name}: ${title}` : name;
  return [{ kind: "correction", messages: joined(messages), source }];
}

function messageOf(node: Node | undefined): Message | null {
  const { author, content, metadata } = node?.message ?? {};
  const role = author?.role;
  if (role !== "user" && role !== "assistant") return null;
  if (metadata?.is_visually_hidden_from_conversation === true) return null;
  const parts = content?.content_type === "text" && content.parts;
  const texts = (Array.isArray(parts) ? parts : []).filter((part) => typeof part === "string");
  const text = texts.join("\n").trim();
  return text === "" ? null : { role, content: text };
}

/** Messages of one voice in a row, which tools between them leave, are one. */
function joined(messages: Message[]): Message[] {
  const all: Message[] = [];
  for (const message of messages) {
    const last = all.at(-1);
    if (last?.role === message.role) last.content += `\n\n${message.content}`;
    else all.push({ ...message });
  }
  return all;
}
