/**
 * A program that uses the npm package, for its types alone: what must compile, and what must not.
 *
 * It never runs. Invariant: every `@ts-expect-error` stands before one mistake, so a type that became too wide fails the test
 * as one that became too narrow does.
 */

import {
  Apprentice,
  type ChatCompletion,
  type ChatCompletionChunk,
  type CycleReport,
  EngineError,
  type Evaluation,
  type Example,
  type Version,
} from "apprentice";

const { signal } = new AbortController();
const messages = [{ role: "user" as const, content: "Hello" }];

export async function uses(file: File): Promise<void> {
  const apprentice = await Apprentice.create({
    model: file,
    device: "cpu",
    storage: null,
    suites: "/suites/",
    onProgress: ({ phase, done, total }) => console.log(phase, done / total),
    signal,
  });
  const whole: ChatCompletion = await apprentice.chat.completions.create({ messages, seed: 1 });
  const text: string = whole.choices[0]!.message.content;
  const chunks = await apprentice.chat.completions.create({ messages, stream: true }, { signal });
  for await (const chunk of chunks) {
    const piece: ChatCompletionChunk = chunk;
    const said: string | undefined = piece.choices[0]?.delta.content;
    console.log(said, chunk.usage?.total_tokens);
  }
  const schema = { type: "object", properties: { city: { type: "string" } } };
  const json_schema = { name: "place", schema };
  await apprentice.chat.completions.create({
    messages,
    stop: ["\n"],
    response_format: { type: "json_schema", json_schema },
  });
  const { added } = await apprentice.teach([
    { prompt: "Who?", answer: text },
    { messages, kind: "approval" },
    { text: "Notes.", source: "notes.md" },
  ]);
  for await (const event of apprentice.learn({ steps_max: added, signal })) {
    if (event.type === "step") console.log(event.loss);
    if (event.type === "verdict") {
      const report: CycleReport = event;
      console.log(report.reason);
    }
  }
  const scores: Evaluation = await apprentice.evaluate({ suite: "core", sample: 4 });
  const versions: Version[] = await apprentice.versions.list();
  const head: string | null = await apprentice.versions.rollback(versions[0]?.id);
  const adapter: Blob = await apprentice.versions.export("HEAD", "peft", { signal });
  const examples: Example[] = await apprentice.data.list();
  await apprentice.data.import(await apprentice.data.export(), { signal });
  console.log(scores.core?.accuracy, head, adapter.size, examples.length);
  apprentice.close();
}

export async function misuses(apprentice: Apprentice): Promise<void> {
  // @ts-expect-error: a model is needed
  await Apprentice.create({});
  // @ts-expect-error: there is no such device
  await Apprentice.create({ model: "/model.gguf", device: "tpu" });
  // @ts-expect-error: only `create` makes one
  new Apprentice();
  // @ts-expect-error: messages are needed
  await apprentice.chat.completions.create({ temperature: 0 });
  // @ts-expect-error: nobody has this role
  await apprentice.chat.completions.create({ messages: [{ role: "tool", content: "" }] });
  // @ts-expect-error: what is not honoured is not there
  await apprentice.chat.completions.create({ messages, frequency_penalty: 1 });
  const whole = await apprentice.chat.completions.create({ messages, stream: false });
  // @ts-expect-error: a whole answer is not iterated over
  for await (const chunk of whole) console.log(chunk);
  // @ts-expect-error: a lesson has an answer
  await apprentice.teach({ prompt: "Who?" });
  // @ts-expect-error: there is no such suite
  await apprentice.evaluate({ suite: "maths" });
  // @ts-expect-error: there is no such form
  await apprentice.versions.export("HEAD", "onnx");
  // @ts-expect-error: the session is the package's own
  console.log(apprentice.data.session);
  // @ts-expect-error: codes are a closed list
  if (new EngineError("", "failed").code === "oops") console.log(signal.aborted);
}
