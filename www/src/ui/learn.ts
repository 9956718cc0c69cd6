/**
 * The Learn panel: what waits, the cycle under way, and its verdict.
 *
 * It knows nothing of how a verdict is reached. Invariant: there is always exactly one of three
 * on the screen: waiting lessons, a cycle under way, or a verdict above the lessons.
 */

import type { App } from "../app";
import type { Cycle } from "../cycle";
import type { CycleReport, Example, Interrupted, LearnPhase } from "../engine/contract";
import { CycleChart } from "./chart";
import { h, icon } from "./dom";
import { duration, plural, sentence, suiteName, VERDICTS } from "./format";
import { learnSettings } from "./learn-settings";
import { suitesTable } from "./suites";

const PHASES: [phase: LearnPhase, name: string][] = [
  ["prepare", "Prepare"],
  ["train", "Train"],
  ["evaluate", "Examine"],
  ["commit", "Keep"],
];
/** What is said while a stage has no numbers yet. */
const BETWEEN: Record<LearnPhase, string> = {
  prepare: "Gathering what to learn and to rehearse …",
  train: "Training …",
  evaluate: "Examining the new version …",
  commit: "Keeping the result …",
};
const WAITING_SHOWN_MAX = 30;
const LEARN = "Learn now";
const RESUME = "Resume";

export function learnPanel(app: App): HTMLElement {
  const progress = new CycleProgress(app);
  const verdict = h("div", { class: "verdict-place", role: "status", "aria-live": "polite" });
  const waiting = h("div", { class: "waiting" });
  const word = h("span", {}, LEARN);
  const learn = h(
    "button",
    { class: "primary wide", onclick: () => void app.learn() },
    icon("learn"),
    word,
  );
  const idle = h("div", { class: "idle" }, waiting, learn, learnSettings());
  const show = () => {
    const learning = app.learning.value;
    progress.element.hidden = !learning;
    idle.hidden = learning;
    const lessons = app.examples.value.filter(({ learned }) => !learned);
    learn.classList.toggle("primary", lessons.length > 0);
    learn.disabled = learning || app.examples.value.length === 0;
    const cut = app.info.value?.interrupted ?? null;
    word.textContent = cut ? RESUME : LEARN;
    waiting.replaceChildren(
      ...(cut ? [interruptedCard(cut)] : []),
      ...waitingOf(lessons, app.examples.value.length),
    );
  };
  app.info.watch(show);
  app.learning.watch(show);
  app.examples.watch(show);
  app.cycle.watch((cycle) => {
    if (cycle) progress.show(cycle);
    const report = cycle?.report;
    verdict.replaceChildren(...(report ? [verdictCard(report)] : []));
  });
  return h(
    "section",
    { class: "panel panel-learn", "aria-label": "Learn" },
    h("h2", { class: "panel-title" }, "Learn"),
    progress.element,
    verdict,
    idle,
  );
}

function waitingOf(lessons: Example[], stored: number): Node[] {
  if (lessons.length === 0) {
    const text =
      stored === 0
        ? "Nothing to learn yet. Correct an answer in the chat, approve a good one, " +
          "or drop files under Data."
        : "Everything that you taught has been learned.";
    return [h("p", { class: "nothing" }, text)];
  }
  const shown = lessons.slice(0, WAITING_SHOWN_MAX);
  const more = lessons.length - shown.length;
  const rest = more > 0 ? [h("p", { class: "quiet-text" }, `and ${more} more`)] : [];
  return [
    h(
      "p",
      { class: "lead" },
      `${plural(lessons.length, "lesson waits", "lessons wait")} to be learned.`,
    ),
    h("ul", { class: "lessons" }, ...shown.map(lessonItem)),
    ...rest,
  ];
}

function interruptedCard({ step, steps_max }: Interrupted): HTMLElement {
  return h(
    "div",
    { class: "interrupted" },
    h("h3", {}, "Learning was interrupted"),
    h(
      "p",
      {},
      `Step ${step} of at most ${steps_max} is kept, and the training goes on from there as if it ` +
        "had never stopped. With other settings it begins anew.",
    ),
  );
}

function lessonItem({ kind, prompt, answer, text, source }: Example): HTMLElement {
  if (kind === "document") {
    return h(
      "li",
      {},
      h("span", { class: "lesson-q" }, source),
      h("span", { class: "lesson-a" }, text),
    );
  }
  return h(
    "li",
    {},
    h("span", { class: "lesson-q" }, prompt),
    h("span", { class: "lesson-a" }, answer),
  );
}

/** The cycle under way. */
class CycleProgress {
  readonly element: HTMLElement;
  #stages = PHASES.map(([, name]) => h("li", {}, name));
  #bar = h("progress", { max: 1, "aria-label": "Learning" });
  #line = h("p", { class: "cycle-line" });
  #chart = new CycleChart();
  #legend = h(
    "p",
    { class: "legend" },
    h("span", { class: "is-loss" }, "Loss, nats a token"),
    h("span", { class: "is-share" }, "Lessons said"),
  );
  #numbers = h("dl", { class: "numbers" });
  #stop: HTMLButtonElement;

  constructor(app: App) {
    this.#stop = h(
      "button",
      { class: "wide", onclick: () => app.stop("learn") },
      icon("stop"),
      "Stop learning",
    );
    this.element = h(
      "div",
      { class: "cycle" },
      h("ol", { class: "stages", "aria-label": "Stages" }, ...this.#stages),
      this.#bar,
      this.#line,
      this.#chart.element,
      this.#legend,
      this.#numbers,
      this.#stop,
    );
  }

  show(cycle: Cycle): void {
    const current = PHASES.findIndex(([phase]) => phase === cycle.phase);
    for (const [row, stage] of this.#stages.entries()) {
      stage.className = row < current ? "done" : row === current ? "now" : "";
      if (row === current) stage.setAttribute("aria-current", "step");
      else stage.removeAttribute("aria-current");
    }
    const share = shareOf(cycle);
    if (share === null) this.#bar.removeAttribute("value");
    else this.#bar.value = share;
    this.#line.textContent = lineOf(cycle);
    this.#chart.element.hidden = this.#legend.hidden = cycle.curve[0].length < 2;
    this.#chart.show(cycle.curve);
    this.#numbers.replaceChildren(...numbersOf(cycle));
    this.#stop.disabled = cycle.stopping;
  }
}

function shareOf({ latest, step }: Cycle): number | null {
  if (!latest) return null;
  if (latest.type === "kept") return step ? step.step / step.steps_max : null;
  if (latest.type === "step" || latest.type === "resumed") return latest.step / latest.steps_max;
  return latest.total ? (latest.done ?? 0) / latest.total : null;
}

function lineOf(cycle: Cycle): string {
  if (cycle.stopping) return "Stopping …";
  const { latest, suite, step } = cycle;
  if (latest?.type === "resumed") {
    return `Going on at step ${latest.step} of at most ${latest.steps_max}`;
  }
  if (step && (latest?.type === "step" || latest?.type === "kept")) {
    const left = step.seconds_left >= 1 ? `, about ${duration(step.seconds_left)} left` : "";
    return `Step ${step.step} of at most ${step.steps_max}${left}`;
  }
  if (suite) return `${suiteName(suite.suite)}: ${suite.done} of ${suite.total}`;
  if (latest?.type === "phase" && latest.detail) return latest.detail;
  return BETWEEN[cycle.phase as LearnPhase] ?? "";
}

function numbersOf({ step, kept, resumed }: Cycle): Node[] {
  if (!step) return [];
  const rows: [string, string][] = [
    ["Loss", step.loss.toFixed(3)],
    ["Drift", step.kl.toFixed(3)],
    ["Learned", `${step.learned} of ${step.total}`],
  ];
  if (resumed !== null) rows.push(["Went on at", `step ${resumed}`]);
  if (kept !== null) rows.push(["Kept to", `step ${kept}`]);
  return rows.map(([term, value]) => h("div", {}, h("dt", {}, term), h("dd", {}, value)));
}

function verdictCard(report: CycleReport): HTMLElement {
  const { title, meaning } = VERDICTS[report.verdict];
  const { learned, taught, seconds, loss_first, loss_last } = report;
  const effort =
    `${learned} of ${taught} answered right after ${duration(seconds)}; ` +
    `loss ${loss_first.toFixed(2)} to ${loss_last.toFixed(2)}.`;
  return h(
    "article",
    { class: `verdict ${report.verdict}`, "aria-label": "Verdict" },
    h("h3", {}, title),
    h("p", { class: "meaning" }, meaning),
    h("p", { class: "reason" }, sentence(report.reason)),
    Object.keys(report.suites).length > 0 && suitesTable(report.suites),
    h("p", { class: "quiet-text" }, effort),
  );
}
