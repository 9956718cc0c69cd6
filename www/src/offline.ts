/**
 * Starts the service worker that keeps the page for days without a network.
 *
 * It knows nothing of what is kept. Invariant: the page works the same without it,
 * and asking again changes nothing.
 */

import { ownScript } from "./trusted";

export function keepOffline(): void {
  // A browser may refuse: in private windows, or without https.
  navigator.serviceWorker?.register(ownScript("./sw.js")).catch(() => undefined);
}
