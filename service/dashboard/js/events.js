// Reads an event stream. The browser's own EventSource cannot send a key.

/** The most characters of one event; a stream that sends more is given up. */
const MAX_EVENT = 4_000_000;

/** The events of a response's body: `{type, id, data}`. */
export async function* events(body) {
  let event = fresh();
  for await (const line of lines(body)) {
    if (line === "") {
      if (event.data.length > 0) yield { type: event.type, id: event.id, data: event.data.join("\n") };
      event = fresh();
      continue;
    }
    take(event, line);
  }
}

function fresh() {
  return { type: "message", id: undefined, data: [] };
}

function take(event, line) {
  const at = line.indexOf(":");
  const name = at < 0 ? line : line.slice(0, at);
  const value = at < 0 ? "" : line.slice(at + 1).replace(/^ /, "");
  if (name === "event") event.type = value;
  else if (name === "id") event.id = value;
  else if (name === "data") event.data.push(value);
}

async function* lines(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  try {
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      const parts = (rest + value).split(/\r\n|\n|\r(?!$)/);
      rest = parts.pop();
      if (rest.length > MAX_EVENT) throw new Error("an event is too long");
      yield* parts;
    }
  } finally {
    await reader.cancel().catch(() => {});
  }
}
