/**
 * A value that tells those who watch it when it changes.
 *
 * It knows nothing of the screen. Invariant: a watcher is called once on watching and then once
 * after every change, in the order of watching.
 */

export class Signal<T> {
  #value: T;
  #watchers: ((value: T) => void)[] = [];

  constructor(value: T) {
    this.#value = value;
  }

  get value(): T {
    return this.#value;
  }

  set value(value: T) {
    this.#value = value;
    for (const watcher of this.#watchers) watcher(value);
  }

  watch(watcher: (value: T) => void): void {
    this.#watchers.push(watcher);
    watcher(this.#value);
  }
}
