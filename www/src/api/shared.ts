/**
 * One home, several pages: the one whose worker has it answers for the others, and one of those follows when it is gone.
 *
 * It knows nothing of queues and signals. Invariant: at any time calls go to this page's worker or to the page that has the
 * home; a call whose page went away is rejected with the code `elsewhere`, and the next one finds another.
 */

import type { EngineClient } from "../engine/client";
import type { Info } from "../engine/contract";
import { ENGINE_LOCK, ofHome } from "../engine/names";
import type { Link, Request } from "../engine/protocol";
import { Tabs } from "../engine/tabs";

export interface SharedEvents {
  /** This page's worker, while it is loaded. */
  own(): EngineClient | null;
  /** Runs another page's call. */
  serve(request: Request, onEvent: (event: unknown) => void, from: string): Promise<unknown>;
  /** The home is free: this page shall load. */
  onFree(): Promise<Info>;
}

export class Shared {
  #tabs: Tabs;
  #heard = Promise.withResolvers<void>();
  #turn: AbortController | null = null;
  /** Whether another page has the home. */
  follows = false;

  constructor(
    private readonly home: string,
    private readonly events: SharedEvents,
  ) {
    this.#tabs = new Tabs(
      {
        serve: events.serve,
        isOwner: () => events.own() !== null,
        onChanged: () => undefined,
        onHere: () => this.#heard.resolve(),
        // A program that has a home keeps it until it closes.
        onLetGo: () => undefined,
      },
      home,
    );
  }

  /** Says to those who wait that this page has the home. */
  announce(): void {
    this.follows = false;
    this.#tabs.say("here");
  }

  /** Goes through the page that has the home, once it is ready. If it goes first, this page loads. */
  async follow(signal?: AbortSignal): Promise<Info> {
    this.follows = true;
    this.#heard = Promise.withResolvers<void>();
    const turn = new AbortController();
    this.#turn = turn;
    const lock = ofHome(ENGINE_LOCK, this.home);
    const free = navigator.locks
      // Let go at once: the worker that this page starts takes it.
      .request(lock, { signal: turn.signal }, () => undefined)
      .then(
        () => {
          this.follows = false;
          this.#tabs.close();
          return this.events.onFree();
        },
        () => undefined,
      );
    // Told by the next call, where nobody waits any more.
    free.catch(() => undefined);
    const left = Promise.withResolvers<never>();
    const leave = () => left.reject(signal?.reason);
    signal?.addEventListener("abort", leave, { once: true });
    this.#tabs.say("who");
    try {
      const loaded = await Promise.race([this.#heard.promise, free, left.promise]);
      return (loaded as Info | undefined) ?? (await this.link.call("info", null));
    } catch (error) {
      turn.abort();
      throw error;
    } finally {
      signal?.removeEventListener("abort", leave);
    }
  }

  /** The page that has the home. */
  get link(): Link {
    return this.#tabs;
  }

  /** Waits no more for the home, and answers nobody. */
  leave(): void {
    this.#turn?.abort();
    this.#tabs.leave();
  }
}
