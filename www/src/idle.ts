/**
 * Learning by itself: when nobody uses the page, enough waits, and the battery allows.
 *
 * It knows nothing of cycles. Invariant: it is off until a person switches it on, and a cycle that
 * ended without a new version is not tried again before something new is taught.
 */

import type { App } from "./app";
import { isOn } from "./settings";

export const SWITCH = "learn-alone";

/** Nobody pressed a key or moved a pointer for so long. */
const IDLE_MS = 120_000;
const LOOK_MS = 15_000;
/** Fewer lessons than this are not worth a cycle. */
export const WAITING_MIN = 3;
/** Below this share of its charge a battery that is not charging is left alone. */
const BATTERY_MIN = 0.4;

interface Battery {
  charging: boolean;
  level: number;
}

interface BatteryNavigator {
  getBattery?(): Promise<Battery>;
}

export interface Circumstances {
  isOn: boolean;
  idle_ms: number;
  waiting: number;
  /** `null` where the browser does not tell. */
  battery: Battery | null;
  busy: boolean;
}

/** The decision alone, so that it can be read and tested. */
export function mayBegin(now: Circumstances, idle_ms = IDLE_MS): boolean {
  const powered = now.battery === null || now.battery.charging || now.battery.level >= BATTERY_MIN;
  return now.isOn && !now.busy && powered && now.idle_ms >= idle_ms && now.waiting >= WAITING_MIN;
}

/** Looks from time to time. `idle_ms` is the address' word, for who does not want to wait. */
export function learnWhenIdle(app: App, idle_ms: number | null): void {
  let active_ms = Date.now();
  let tried = "";
  for (const name of ["pointermove", "pointerdown", "keydown", "wheel", "touchstart"]) {
    addEventListener(name, () => (active_ms = Date.now()), { passive: true });
  }
  const look = async () => {
    const waiting = app.examples.value.filter(({ learned, set_aside }) => !learned && !set_aside);
    const ids = waiting.map(({ id }) => id).join();
    const { getBattery } = navigator as BatteryNavigator;
    const battery = (await getBattery?.call(navigator).catch(() => null)) ?? null;
    const ready = app.loader.stage.value.name === "ready" && !app.loader.remote.value;
    const now = {
      isOn: isOn(SWITCH),
      idle_ms: Date.now() - active_ms,
      waiting: waiting.length,
      battery,
      busy: !ready || app.answering.value || app.learning.value || ids === tried,
    };
    if (!mayBegin(now, idle_ms ?? IDLE_MS)) return;
    tried = ids;
    await app.learn();
  };
  setInterval(() => void look(), idle_ms === null ? LOOK_MS : Math.max(200, idle_ms / 4));
}
