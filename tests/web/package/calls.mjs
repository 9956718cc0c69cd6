/**
 * Programs that use the package, each of them run whole in a page: what they saw comes back to be judged.
 *
 * Each is sent as its own text, so it stands alone. Invariant: they judge nothing; a failure that they expect comes back as
 * `CODE: message`.
 */

/** Completions, whole and in chunks, and requests that are refused. */
export async function speaksOpenAi(create, lesson) {
  const progress = [];
  const apprentice = await create({ onProgress: ({ phase }) => progress.push(phase) });
  progress.push("ready");
  const { completions } = apprentice.chat;
  const ask = {
    messages: [{ role: "user", content: lesson.prompt }],
    temperature: 0,
    max_tokens: 32,
  };
  const failure = (work) =>
    work.then(
      () => "it was done",
      ({ code, message }) => `${code}: ${message}`,
    );
  const completion = await completions.create(ask);
  const [choice] = completion.choices;
  const whole = choice.message.content;
  let streamed = "";
  let streamedUsage = null;
  const stream_options = { include_usage: true };
  for await (const chunk of await completions.create({ ...ask, stream: true, stream_options })) {
    streamed += chunk.choices[0]?.delta.content ?? "";
    streamedUsage = chunk.usage ?? streamedUsage;
  }
  const stop = whole.split(" ").at(-2);
  const cut = await completions.create({ ...ask, stop: ["no such words", stop] });
  const short = await completions.create({ ...ask, max_completion_tokens: 2 });
  const schema = {
    type: "object",
    properties: { city: { enum: ["Tarn", "Marn"] }, gate: { type: "integer", minimum: 0, maximum: 9 } },
    required: ["city", "gate"],
    additionalProperties: false,
  };
  // So many, since a small model likes white space where it may stand.
  const shaped = (json_schema) =>
    completions.create({ ...ask, max_tokens: 400, response_format: { type: "json_schema", json_schema } });
  const formed = await shaped({ name: "place", schema });
  const refusals = {
    schema: await failure(shaped({ name: "place" })),
    unknown: await failure(completions.create({ ...ask, frequency_penalty: 1 })),
    role: await failure(completions.create({ messages: [{ role: "tool", content: "" }] })),
    top_p: await failure(completions.create({ ...ask, top_p: 2 })),
    version: await failure(completions.create({ ...ask, model: "nobody" })),
    file: await failure(create({ storage: null, model: new Blob(["no model"]) })),
  };
  const beside = await create({ storage: null });
  beside.close();
  apprentice.close();
  const { usage, object } = completion;
  // The prompt's tokens that were still in the cache differ from call to call.
  for (const counts of [usage, streamedUsage]) delete counts.prompt_tokens_details;
  return {
    progress,
    object,
    whole,
    streamed: streamed.trim(),
    streamedUsage,
    reason: choice.finish_reason,
    usage,
    stop,
    cut: cut.choices[0].message.content,
    short: { reason: short.choices[0].finish_reason, tokens: short.usage.completion_tokens },
    formed: { text: formed.choices[0].message.content, reason: formed.choices[0].finish_reason },
    refusals,
  };
}

/** Aborts in the middle, before the turn, by leaving a loop, and while loading. */
export async function abortsWhatRuns(create, lesson) {
  const apprentice = await create();
  const { completions } = apprentice.chat;
  const ask = {
    messages: [{ role: "user", content: lesson.prompt }],
    temperature: 0,
    max_tokens: 32,
  };
  const answer = async () => (await completions.create(ask)).choices[0].message.content;
  const whole = await answer();
  const own = new AbortController();
  let heard = 0;
  let stream = "ended";
  try {
    const chunks = await completions.create({ ...ask, stream: true }, { signal: own.signal });
    for await (const { choices } of chunks) {
      if (!choices[0].delta.content) continue;
      heard += 1;
      own.abort("enough");
    }
  } catch (reason) {
    stream = reason;
  }
  const late = new AbortController();
  const first = answer();
  const second = completions.create(ask, { signal: late.signal }).catch((reason) => reason);
  late.abort("not needed");
  const [beside, waiting] = [await first, await second];
  for await (const { choices } of await completions.create({ ...ask, stream: true })) {
    if (choices[0].delta.content) break;
  }
  const left = await answer();
  await apprentice.teach(lesson);
  const cycling = new AbortController();
  let cycle = "ended";
  try {
    for await (const event of apprentice.learn({ signal: cycling.signal })) {
      if (event.type === "step") cycling.abort();
    }
  } catch ({ name }) {
    cycle = name;
  }
  const after = await answer();
  const actions = (await apprentice.versions.journal()).map(({ action }) => action);
  const loading = new AbortController();
  const onProgress = () => loading.abort();
  const load = await create({ storage: null, signal: loading.signal, onProgress }).then(
    () => "loaded",
    ({ name }) => name,
  );
  apprentice.close();
  const closed = await answer().catch(({ message }) => message);
  return { whole, stream, heard, beside, waiting, left, cycle, after, actions, load, closed };
}

/** A cycle, its verdict, the way back, and adapters as files. */
export async function learnsAndGoesBack(create, lesson) {
  const apprentice = await create();
  const { versions } = apprentice;
  const answer = async (model) => {
    const messages = [{ role: "user", content: lesson.prompt }];
    const request = { messages, temperature: 0, max_tokens: 32, ...(model ? { model } : {}) };
    return (await apprentice.chat.completions.create(request)).choices[0].message.content;
  };
  const untaught = await answer();
  const taught = await apprentice.teach(lesson);
  const events = [];
  for await (const event of apprentice.learn({ sample: 12 })) events.push(event);
  const learned = await answer();
  const [version] = await versions.list();
  await versions.tag("good", version.id);
  const [{ tags }] = await versions.list();
  const base = await answer("base");
  await versions.rollback("base");
  const back = await answer();
  const byTag = await answer("good");
  const { core } = await apprentice.evaluate({ suite: "core", version: "good", sample: 8 });
  const files = {};
  for (const form of ["adapter", "gguf", "peft"]) files[form] = await versions.export("good", form);
  const beginning = async (form, length) => (await files[form].slice(0, length).text());
  const forms = [await beginning("adapter", 1), await beginning("gguf", 4), await beginning("peft", 2)];
  const imported = {};
  let foreign;
  for (const form of ["gguf", "peft"]) {
    foreign = await versions.import(files[form]);
    imported[form] = await answer(foreign);
  }
  const barred = await versions.rollback(foreign).catch(({ message }) => message);
  const unadopted = await answer();
  let adoption;
  for await (const event of versions.adopt(foreign, { sample: 12 })) adoption = event;
  const adopted = await answer();
  const text = await files.adapter.slice(0, 2_000).text();
  const head = text.replace(/"base_hash":"./, '"base_hash":"x').slice(0, text.indexOf("\n"));
  const other = new Blob([head, files.adapter.slice(text.indexOf("\n"))]);
  const refused = await versions.import(other).catch(({ message }) => message);
  apprentice.close();
  const types = [...new Set(events.map(({ type }) => type))];
  const last = events.at(-1);
  return {
    ...{ untaught, taught, types, last, learned, base, back, tags, byTag, core, forms, imported },
    ...{ barred, unadopted, adoption, adopted, other: refused },
  };
}

/** Examples one by one, and the home as one file. */
export async function keepsAndForgets(create, lesson) {
  const apprentice = await create({ storage: "notes-1" });
  const { data, versions } = apprentice;
  const answer = async () => {
    const messages = [{ role: "user", content: lesson.prompt }];
    const request = { messages, temperature: 0, max_tokens: 32 };
    return (await apprentice.chat.completions.create(request)).choices[0].message.content;
  };
  const untaught = await answer();
  await apprentice.teach({ ...lesson, source: "a file" });
  const cycle = async () => {
    let last;
    for await (const event of apprentice.learn({ sample: 12 })) last = event;
    return last.reason;
  };
  const doubted = await cycle();
  await data.release((await data.list())[0].id);
  await cycle();
  const listed = (await data.list()).map(({ answer }) => answer);
  const home = await data.export();
  const bytes = new Uint8Array(await home.arrayBuffer());
  bytes[bytes.length >> 1] ^= 1;
  const damaged = await data.import(new Blob([bytes])).catch(({ message }) => message);
  await data.erase();
  const counts = async () => (await data.list()).length;
  const erased = { examples: await counts(), versions: (await versions.list()).length };
  await data.import(home);
  const moved = await answer();
  const [example] = await data.list();
  const report = await data.forget(example.id);
  const { head } = await apprentice.info();
  const forgotten = { examples: await counts(), head };
  const after = await answer();
  apprentice.close();
  return { untaught, doubted, listed, damaged, erased, moved, report, forgotten, after };
}
