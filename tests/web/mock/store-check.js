/**
 * Not an engine: a check of the store and the source that the page gives to one.
 *
 * It runs inside `Engine.load`, where alone they can be reached. Invariant: loading succeeds only
 * if every promise of the contract held; the error lists those that did not.
 */

export default async function init() {}

const bytes = (...values) => new Uint8Array(values);
const same = (a, b) => JSON.stringify(a) === JSON.stringify(b);
const text = (value) => (value ? Array.from(value) : value);

async function refusal(work) {
  try {
    await work();
    return "";
  } catch (error) {
    return String(error.message ?? error);
  }
}

async function check(source, store) {
  const broken = [];
  const expect = (held, promise) => held || broken.push(promise);

  await store.apply([
    ["examples", "b", bytes(2)],
    ["examples", "a", bytes(1)],
    ["refs", "HEAD", bytes(9)],
  ]);
  const rows = (await store.list("examples")).map(([key, value]) => [key, text(value)]);
  expect(
    same(rows, [
      ["a", [1]],
      ["b", [2]],
    ]),
    "list is in key order",
  );
  expect(same(text(await store.get("refs", "HEAD")), [9]), "get gives what apply wrote");
  expect((await store.get("refs", "none")) === undefined, "get of nothing is undefined");

  const heap = bytes(1, 2, 3, 4);
  const applied = store.apply([["cache", "view", heap.subarray(1, 3)]]);
  heap.fill(0);
  await applied;
  expect(same(text(await store.get("cache", "view")), [2, 3]), "apply copies a view of the heap");

  const unknown = await refusal(() =>
    store.apply([
      ["refs", "HEAD", bytes(7)],
      ["nonsense", "k", bytes(1)],
    ]),
  );
  expect(unknown.includes("nonsense"), "an unknown table is named");
  expect(same(text(await store.get("refs", "HEAD")), [9]), "nothing of a refused apply is written");
  const badKey = await refusal(() =>
    store.apply([
      ["refs", "HEAD", bytes(7)],
      ["refs", {}, bytes(1)],
    ]),
  );
  expect(badKey !== "", "a bad key is refused");
  expect(same(text(await store.get("refs", "HEAD")), [9]), "nothing of a failed apply is written");
  await store.apply([["examples", "a", null]]);
  expect((await store.list("examples")).length === 1, "null deletes");

  await store.putBlob("abc123", bytes(5, 6));
  await store.putBlob("abc123", bytes(5, 6));
  expect(same(text(await store.getBlob("abc123")), [5, 6]), "a blob comes back");
  expect(same(await store.listBlobs(), ["abc123"]), "listBlobs names whole blobs only");
  await store.deleteBlob("abc123");
  await store.deleteBlob("abc123");
  expect((await store.getBlob("abc123")) === undefined, "a deleted blob is gone");
  expect((await refusal(() => store.putBlob("../up", bytes(1)))) !== "", "a blob's name is a hash");

  expect(source.read(0, source.length).length === source.length, "the whole source can be read");
  expect(same(text(source.read(4, 3)), text(source.read(0, 7).slice(4))), "an offset is an offset");
  expect((await refusal(() => source.read(source.length - 1, 2))) !== "", "no read past the end");
  return broken;
}

export class Engine {
  static async load(source, store) {
    const broken = await check(source, store);
    if (broken.length > 0) throw new Error(`broken: ${broken.join("; ")}`);
    throw new Error("all promises held");
  }
}
