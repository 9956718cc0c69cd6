import { Apprentice, type Message } from "apprentice";

const said = document.querySelector("output")!;
const stop = document.querySelector("button")!;
const form = document.querySelector("form")!;
const input = form.querySelector("input")!;
const messages: Message[] = [];

const apprentice = await Apprentice.create({
  model: new URL("model.gguf", document.baseURI),
  onProgress: ({ phase, done, total }) => (said.value = `${phase} ${done} of ${total}`),
});
const { model, device } = await apprentice.info();
said.value = `${model} on the ${device} is ready.`;

form.onsubmit = async (event) => {
  event.preventDefault();
  const asked = new AbortController();
  stop.disabled = false;
  stop.onclick = () => asked.abort();
  messages.push({ role: "user", content: input.value });
  said.value = "";
  const request = { messages, stream: true, max_tokens: 200 } as const;
  const chunks = await apprentice.chat.completions.create(request, { signal: asked.signal });
  try {
    for await (const chunk of chunks) said.value += chunk.choices[0]?.delta.content ?? "";
  } catch (error) {
    if (!asked.signal.aborted) throw error;
  }
  messages.push({ role: "assistant", content: said.value });
};
