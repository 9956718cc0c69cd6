/**
 * What the user chose and the address asks for: the device, the theme, how to answer and to learn.
 *
 * It knows nothing of the engine's state. Invariant: the address' query wins over what is
 * remembered, and is never itself remembered.
 */

import type { ChatOptions, DeviceChoice, LearnOptions } from "./engine/contract";

const query = new URLSearchParams(location.search);

export const modelPath = query.get("model");
export const suitesPath = query.get("suites");
/** Milliseconds without a hand after which it may learn by itself, where the address says. */
export const idleAfter_ms = query.has("idle_ms") ? Number(query.get("idle_ms")) : null;

export function device(): DeviceChoice {
  const choice = query.get("device") ?? recall("device");
  return choice === "gpu" || choice === "cpu" ? choice : "auto";
}

export function rememberDevice(choice: DeviceChoice): void {
  query.delete("device");
  remember("device", choice);
}

/** Numbers that a person may set, with their defaults; `null` leaves one to the engine. */
const NUMBERS = {
  temperature: 0.2,
  top_p: 0.9,
  tokens_max: 512,
  seed: null,
  steps_max: null,
  sample: null,
  lr: null,
} as const satisfies Record<string, number | null>;

export type NumberSetting = keyof typeof NUMBERS;

export function number(name: NumberSetting): number | null {
  const written = query.get(name) ?? recall(name);
  const value = written === null || written === "" ? Number.NaN : Number(written);
  return Number.isFinite(value) && value >= 0 ? value : NUMBERS[name];
}

export function rememberNumber(name: NumberSetting, written: string): void {
  query.delete(name);
  remember(name, written);
}

export function chatOptions(): ChatOptions {
  const options: ChatOptions = {};
  for (const name of ["temperature", "top_p", "tokens_max", "seed"] as const) {
    const value = number(name);
    if (value !== null) options[name] = value;
  }
  return options;
}

export function learnOptions(): LearnOptions {
  const options: LearnOptions = {};
  for (const name of ["steps_max", "sample", "lr"] as const) {
    const value = number(name);
    if (value !== null) options[name] = value;
  }
  return options;
}

/** How much was kept when it was last counted: less than that tomorrow means that it was lost. */
export function rememberKept(count: number): void {
  remember("kept", String(count));
}

export function keptBefore(): number {
  return Number(recall("kept") ?? 0);
}

/** Whether a switch is on. */
export function isOn(name: string): boolean {
  return recall(name) === "on";
}

export function setOn(name: string, on: boolean): void {
  remember(name, on ? "on" : "off");
}

// A browser may refuse storage to a page; choices then last as long as the page.
export function recall(name: string): string | null {
  try {
    return localStorage.getItem(`apprentice.${name}`);
  } catch {
    return null;
  }
}

export function remember(name: string, value: string): void {
  try {
    localStorage.setItem(`apprentice.${name}`, value);
  } catch {
    // Not remembered: the page works on without.
  }
}
