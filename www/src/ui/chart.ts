/**
 * The loss curve of a cycle.
 *
 * It knows nothing of training. Invariant: colours come from the page's tokens, so that it
 * follows the theme; it is decoration beside the numbers, which are always written out.
 */

import uPlot from "uplot";
import { h } from "./dom";

const HEIGHT_PX = 150;

export class LossChart {
  readonly element = h("div", { class: "chart", role: "img", "aria-label": "Loss by step" });
  #plot: uPlot | null = null;
  #points: [number[], number[]] = [[], []];

  constructor() {
    new ResizeObserver(() => this.#resize()).observe(this.element);
    const rebuild = () => this.#build();
    addEventListener("themechange", rebuild);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", rebuild);
  }

  show(points: [number[], number[]]): void {
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
      scales: { x: { time: false }, y: { range: { min: { soft: 0, mode: 1, pad: 0 }, max: {} } } },
      axes: [
        { ...axis, size: 28, grid: { show: false }, incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500] },
        { ...axis, size: 40 },
      ],
      series: [
        {},
        {
          stroke: this.#color("--accent"),
          width: 2,
          fill: this.#color("--accent-soft"),
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
