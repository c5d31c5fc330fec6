// Follows a job: by its event stream, and by asking again and again where that does not get through.

import { get, jobPath, pause, send } from "./api.js";
import { events } from "./events.js";

const FINAL = new Set(["completed", "cancelled", "failed"]);
const LONGEST_PAUSE_MS = 15_000;
/** How many long polls follow a stream that broke before one is tried again. */
const POLLS = 20;
/** How long one of them waits for the one before, whatever that says. */
const POLL_PAUSE_MS = 500;

/** Whether a job has ended. */
export function isFinal(job) {
  return FINAL.has(job.status);
}

/**
 * Calls `update` with each state of a job until it has ended. `link` is told `true` as long as
 * states come by themselves, and `false` while the service does not answer.
 */
export async function follow(id, { update, link, signal }) {
  const state = { job: await get(jobPath(id), { signal }), lastEvent: undefined, etag: undefined };
  const take = (job) => {
    state.job = job;
    link(true);
    update(job);
  };
  take(state.job);
  for (let failures = 0; !isFinal(state.job); ) {
    try {
      await stream(id, state, take, signal);
      for (let polls = 0; polls < POLLS && !isFinal(state.job); polls += 1) await poll(id, state, take, signal);
      failures = 0;
    } catch (error) {
      if (isHopeless(error)) throw error;
      link(false);
      failures += 1;
      await pause(waitAfter(error, failures), signal);
    }
  }
}

/** Gone, not ours, or the view was left: no use in asking again. */
function isHopeless(error) {
  return error.name === "AbortError" || (error.status >= 400 && error.status < 500 && error.status !== 429);
}

function waitAfter(error, failures) {
  const asked = (error.retryAfter ?? 0) * 1_000;
  return Math.max(asked, Math.min(LONGEST_PAUSE_MS, 500 * 2 ** Math.min(failures, 6)));
}

/** Takes states until the stream ends; one that breaks or does not come is no error, the polls do. */
async function stream(id, state, take, signal) {
  const headers = { Accept: "text/event-stream" };
  if (state.lastEvent) headers["Last-Event-ID"] = state.lastEvent;
  try {
    const answer = await send("GET", jobPath(id, "/events"), { headers, signal });
    for await (const event of events(answer.body)) {
      state.lastEvent = event.id ?? state.lastEvent;
      if (event.type === "progress" || event.type === "terminal") take(await whole(id, state, JSON.parse(event.data), signal));
    }
  } catch (error) {
    if (isHopeless(error)) throw error;
  }
}

/** An event's state with the parts, which it only counts: those that are known, or read anew. */
async function whole(id, state, job, signal) {
  const { parts = [], parts_total: total } = state.job.output;
  if (job.output.parts_total !== total) return get(jobPath(id), { signal });
  return { ...job, output: { ...job.output, parts } };
}

/** Asks for the job; once its state is known, the answer comes with the next change. */
async function poll(id, state, take, signal) {
  await pause(POLL_PAUSE_MS, signal);
  const headers = state.etag ? { "If-None-Match": state.etag } : {};
  const answer = await send("GET", jobPath(id, state.etag ? "?wait=20" : ""), { headers, signal });
  if (answer.status === 304) return;
  state.etag = answer.headers.get("ETag") ?? undefined;
  take(await answer.json());
}
