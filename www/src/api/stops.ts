/**
 * Where an answer ends that must not go on behind certain texts.
 *
 * It knows nothing of tokens: text comes in pieces of any size. Invariant: what is given out never holds a stop text nor the
 * beginning of one that may still become whole.
 */

export class Stops {
  #stops: string[];
  #held = "";
  #met = false;

  constructor(stops: string[]) {
    this.#stops = stops;
  }

  /** Whether a stop text has come. */
  get met(): boolean {
    return this.#met;
  }

  /** Takes a piece, and gives what is certain to belong to the answer. */
  take(piece: string): string {
    if (this.#met) return "";
    this.#held += piece;
    const found = this.#stops.map((stop) => this.#held.indexOf(stop)).filter((at) => at >= 0);
    if (found.length > 0) {
      this.#met = true;
      return this.#give(Math.min(...found));
    }
    return this.#give(this.#held.length - this.#begun());
  }

  /** What was held back when the answer is over. */
  rest(): string {
    return this.#met ? "" : this.#give(this.#held.length);
  }

  /** Characters at the end that may be the beginning of a stop text. */
  #begun(): number {
    const begun = (stop: string) => {
      for (let n = Math.min(stop.length - 1, this.#held.length); n > 0; n--) {
        if (this.#held.endsWith(stop.slice(0, n))) return n;
      }
      return 0;
    };
    return Math.max(0, ...this.#stops.map(begun));
  }

  #give(length: number): string {
    const given = this.#held.slice(0, length);
    this.#held = this.#held.slice(length);
    return given;
  }
}
