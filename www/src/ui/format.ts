/**
 * Numbers and times as a person reads them, and the words for verdicts and suites.
 *
 * It knows nothing of elements. Invariant: a number is never shown with digits that it does not
 * have.
 */

import type { Suites, SuiteScore, Verdict } from "../engine/contract";

export function bytes(count: number): string {
  if (count < 1e6) return `${Math.ceil(count / 1e3)} kB`;
  if (count < 1e9) return `${(count / 1e6).toFixed(count < 1e7 ? 1 : 0)} MB`;
  return `${(count / 1e9).toFixed(2)} GB`;
}

export function parameters(count: number): string {
  if (count < 1e6) return `${Math.round(count / 1e3)}K`;
  return count < 1e9 ? `${Math.round(count / 1e6)}M` : `${(count / 1e9).toFixed(1)}B`;
}

export function duration(seconds: number): string {
  if (seconds < 1) return "under a second";
  if (seconds < 90) return `${Math.round(seconds)} s`;
  const minutes = Math.round(seconds / 60);
  return minutes < 90 ? `${minutes} min` : `${(minutes / 60).toFixed(1)} h`;
}

export function when(created_ms: number): string {
  const age_s = (Date.now() - created_ms) / 1000;
  if (age_s < 60) return "just now";
  if (age_s < 3600) return `${Math.floor(age_s / 60)} min ago`;
  const date = new Date(created_ms);
  const time = date.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
  if (date.toDateString() === new Date().toDateString()) return `today, ${time}`;
  return `${date.toLocaleDateString([], { day: "numeric", month: "short" })}, ${time}`;
}

/** An error as a sentence: the layers below write them in lower case, to be joined. */
export function sentence(text: string): string {
  // A name that begins the error, as of a file, keeps its letters.
  const word = /^[a-z]+[ ,;:]/.test(text);
  const begun = word ? text.charAt(0).toUpperCase() + text.slice(1) : text;
  return /[.!?…]$/.test(begun) ? begun : `${begun}.`;
}

export function plural(count: number, one: string, many = `${one}s`): string {
  return `${count} ${count === 1 ? one : many}`;
}

/** The suite of which more is better and which is no share. */
const VARIETY = "variety";

/** In the order in which tables show them. */
const SUITE_NAMES: Record<string, string> = {
  taught: "What was taught",
  rephrased: "The same, asked otherwise",
  documents: "The documents taught",
  kept: "What was learned before",
  kept_documents: "Documents learned before",
  core: "Core knowledge",
  language: "Language",
  refusals: "Refusals",
  everyday: "Everyday talk",
  variety: "Room of choice in everyday talk",
};

export function suiteName(name: string): string {
  return SUITE_NAMES[name] ?? name.charAt(0).toUpperCase() + name.slice(1).replaceAll("_", " ");
}

/** Whether a suite is a loss in nats a token (lower is better) and not a share of right answers. */
export function isLoss(name: string, { before, after }: SuiteScore): boolean {
  const known = ["language", "documents", "kept_documents"].includes(name);
  return known || (name !== VARIETY && (before > 1 || after > 1));
}

/** Whether a suite is in nats a token and not a share. */
export function inNats(name: string, suite: SuiteScore): boolean {
  return name === VARIETY || isLoss(name, suite);
}

export function score(value: number, nats: boolean): string {
  return nats ? value.toFixed(3) : `${(100 * value).toFixed(value === 0 || value === 1 ? 0 : 1)} %`;
}

/** Above this a difference is one that chance makes often; the engine's gate decides by itself. */
const P_CHANCE = 0.05;

export interface Change {
  kind: "better" | "worse" | "same";
  words: string;
  /** How likely chance alone makes such a difference. */
  chance: string;
}

/** What a change means for the user: its sign is that of the benefit. */
export function change(name: string, suite: SuiteScore): Change {
  const loss = isLoss(name, suite);
  const gain = (suite.after - suite.before) * (loss ? -1 : 1);
  if (Math.abs(gain) < 5e-4) return { kind: "same", words: "same", chance: "" };
  const words = gain > 0 ? "better" : "worse";
  const { p } = suite;
  if (p === null || p === undefined) return { kind: words, words, chance: "" };
  if (p > P_CHANCE) return { kind: "same", words, chance: "within chance" };
  return { kind: words, words, chance: p < 0.001 ? "p < 0.001" : `p ${p.toFixed(3)}` };
}

/** The suites in a fixed order, those unknown to the page last. */
export function inOrder(suites: Suites): [string, SuiteScore][] {
  const order = Object.keys(SUITE_NAMES);
  const place = (name: string) => (order.includes(name) ? order.indexOf(name) : order.length);
  return Object.entries(suites).sort(([a], [b]) => place(a) - place(b));
}

export const VERDICTS: Record<Verdict, { title: string; meaning: string }> = {
  promoted: { title: "Learned", meaning: "The new version answers from now on." },
  held: {
    title: "Held back",
    meaning: "There is not enough evidence yet. The version before still answers.",
  },
  rejected: {
    title: "Turned down",
    meaning: "The new version failed its exam. The version before still answers.",
  },
};
