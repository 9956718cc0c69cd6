/**
 * The curves of a cycle: its loss, and the share of the lessons that the candidate says already.
 *
 * It knows nothing of training. Invariant: colours come from the page's tokens, so that it
 * follows the theme; it is decoration beside the numbers, which are always written out.
 */

import uPlot from "uplot";
import { h } from "./dom";

const HEIGHT_PX = 150;

/** [step, loss, share] */
type Points = [number[], number[], number[]];

export class CycleChart {
  readonly element = h("div", {
    class: "chart",
    role: "img",
    "aria-label": "Loss and lessons said, by step",
  });
  #plot: uPlot | null = null;
  #points: Points = [[], [], []];

  constructor() {
    new ResizeObserver(() => this.#resize()).observe(this.element);
    const rebuild = () => this.#build();
    addEventListener("themechange", rebuild);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", rebuild);
  }

  show(points: Points): void {
    this.#points = points;
    if (this.#plot) this.#plot.setData(points);
    else this.#build();
  }

  #resize(): void {
    const width = this.element.clientWidth;
    if (this.#plot) this.#plot.setSize({ width, height: HEIGHT_PX });
    else this.#build();
  }

  #build(): void {
    this.#plot?.destroy();
    this.#plot = null;
    const width = this.element.clientWidth;
    if (width === 0) return;
    const font = `11px ${getComputedStyle(this.element).fontFamily}`;
    const axis: uPlot.Axis = {
      stroke: this.#color("--ink-quiet"),
      font,
      grid: { stroke: this.#color("--line"), width: 1 },
      ticks: { show: false },
    };
    const options: uPlot.Options = {
      width,
      height: HEIGHT_PX,
      padding: [10, 10, 0, 0],
      legend: { show: false },
      cursor: { show: false },
      scales: {
        x: { time: false },
        y: { range: { min: { soft: 0, mode: 1, pad: 0 }, max: {} } },
        share: { range: [0, 1] },
      },
      axes: [
        { ...axis, size: 28, grid: { show: false }, incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500] },
        { ...axis, size: 40 },
        {
          ...axis,
          scale: "share",
          side: 1,
          size: 46,
          grid: { show: false },
          splits: [0, 0.5, 1],
          values: (_, shares) => shares.map((share) => `${100 * share} %`),
        },
      ],
      series: [
        {},
        {
          stroke: this.#color("--accent"),
          width: 2,
          fill: this.#color("--accent-soft"),
          points: { show: false },
        },
        {
          scale: "share",
          stroke: this.#color("--caution"),
          width: 2,
          dash: [5, 4],
          points: { show: false },
        },
      ],
    };
    this.#plot = new uPlot(options, this.#points, this.element);
  }

  /** A token's colour as the canvas needs it, resolved for the current theme. */
  #color(token: string): string {
    const probe = h("span", { hidden: true });
    probe.style.color = `var(${token})`;
    this.element.append(probe);
    const color = getComputedStyle(probe).color;
    probe.remove();
    return color;
  }
}
