/**
 * Two texts as one, with what was taken out and what was put in, word by word.
 *
 * It knows nothing of answers. Invariant: without the deletions it reads as the new text, without
 * the insertions as the old one.
 */

import { h } from "./dom";

/** Above this many words a side, the whole is shown as replaced: the table would be too large. */
const WORDS_MAX = 1_200;

type Step = [kind: "same" | "del" | "ins", text: string];

export function difference(before: string, after: string): Node[] {
  return steps(before, after).map(([kind, text]) =>
    kind === "same" ? new Text(text) : h(kind, {}, text),
  );
}

export function steps(before: string, after: string): Step[] {
  const [a, b] = [wordsOf(before), wordsOf(after)];
  if (a.length > WORDS_MAX || b.length > WORDS_MAX) {
    return [
      ["del", before],
      ["ins", after],
    ];
  }
  const common = longestCommon(a, b);
  const width = b.length + 1;
  const found: Step[] = [];
  const put = (kind: Step[0], text: string) => {
    const last = found.at(-1);
    if (last?.[0] === kind) last[1] += text;
    else found.push([kind, text]);
  };
  let [row, column] = [0, 0];
  while (row < a.length || column < b.length) {
    const [old, fresh] = [a[row], b[column]];
    if (old !== undefined && old === fresh) {
      put("same", old);
      row++;
      column++;
      continue;
    }
    const down = common[(row + 1) * width + column] ?? -1;
    const right = common[row * width + column + 1] ?? -1;
    if (old !== undefined && (fresh === undefined || down >= right)) {
      put("del", old);
      row++;
    } else {
      put("ins", fresh ?? "");
      column++;
    }
  }
  return found;
}

/** Lengths of the longest common rests: entry (row, column) is of `a` from row and `b` from column. */
function longestCommon(a: string[], b: string[]): Uint16Array {
  const width = b.length + 1;
  const table = new Uint16Array((a.length + 1) * width);
  for (let row = a.length - 1; row >= 0; row--) {
    for (let column = b.length - 1; column >= 0; column--) {
      const at = row * width + column;
      table[at] =
        a[row] === b[column]
          ? 1 + (table[at + width + 1] ?? 0)
          : Math.max(table[at + width] ?? 0, table[at + 1] ?? 0);
    }
  }
  return table;
}

function wordsOf(text: string): string[] {
  return text.match(/\s+|[^\s]+/g) ?? [];
}
