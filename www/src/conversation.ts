/**
 * The conversation on the screen, kept on this device so that a reload does not lose it.
 *
 * It knows nothing of lessons' fate in the engine. Invariant: what is stored is what is shown,
 * up to the last finished turn.
 */

import { openDB } from "idb";
import type { Message } from "./engine/contract";

/** A message as the page shows it. */
export interface Turn extends Message {
  /** What became of an answer: its first words kept when it was corrected. */
  taught?: "corrected" | "approved";
  /** The answer was cut: by the user or by the limit on its length. */
  cut?: "cancelled" | "length";
}

const DATABASE = "apprentice-page";
const STORE = "conversations";
const CURRENT = "current";
/** Older turns than this are dropped when stored. */
const TURNS_MAX = 400;

export async function recallTurns(): Promise<Turn[]> {
  const database = await open();
  return ((await database.get(STORE, CURRENT)) as Turn[] | undefined) ?? [];
}

export async function rememberTurns(turns: Turn[]): Promise<void> {
  const database = await open();
  await database.put(STORE, turns.slice(-TURNS_MAX), CURRENT);
}

let opened: ReturnType<typeof openDB> | undefined;

function open(): ReturnType<typeof openDB> {
  opened ??= openDB(DATABASE, 1, {
    upgrade(db) {
      db.createObjectStore(STORE);
    },
  });
  return opened;
}
