/**
 * A learning cycle as the screen sees it: its phase, its curves so far, and its end.
 *
 * It knows nothing of how a cycle works. Invariant: it changes only by `note`, from the engine's
 * events, so that every tab that hears them shows the same.
 */

import type { CycleReport, LearnEvent } from "./engine/contract";

export interface Cycle {
  latest: LearnEvent | null;
  phase: string;
  detail: string;
  /** [step, loss in nats a token, share of the lessons that the candidate says] */
  curve: [number[], number[], number[]];
  step: Extract<LearnEvent, { type: "step" }> | null;
  /** The step at which it went on, where it was interrupted before. */
  resumed: number | null;
  /** The last step that outlives the tab. */
  kept: number | null;
  suite: Extract<LearnEvent, { type: "suite" }> | null;
  report: CycleReport | null;
  stopping: boolean;
  began_ms: number;
}

export function newCycle(): Cycle {
  return {
    latest: null,
    phase: "prepare",
    detail: "",
    curve: [[], [], []],
    step: null,
    resumed: null,
    kept: null,
    suite: null,
    report: null,
    stopping: false,
    began_ms: Date.now(),
  };
}

export function note(cycle: Cycle, event: LearnEvent): void {
  cycle.latest = event;
  if (event.type === "phase") {
    if (event.phase !== cycle.phase) cycle.suite = null;
    cycle.phase = event.phase;
    cycle.detail = event.detail ?? cycle.detail;
  } else if (event.type === "suite") {
    cycle.suite = event;
  } else if (event.type === "resumed") {
    cycle.resumed = cycle.kept = event.step;
  } else if (event.type === "kept") {
    cycle.kept = event.step;
  } else {
    cycle.step = event;
    const { step, loss, learned, total } = event;
    cycle.curve[0].push(step);
    cycle.curve[1].push(loss);
    cycle.curve[2].push(total === 0 ? 0 : learned / total);
  }
}
