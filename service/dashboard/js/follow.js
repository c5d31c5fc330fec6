// Follows a job: by its event stream, and by asking again and again where that does not get through.

import { get, jobPath, pause, send } from "./api.js";
import { events } from "./events.js";

const FINAL = new Set(["completed", "cancelled", "failed"]);
const LONGEST_PAUSE_MS = 15_000;
/** How many long polls follow a stream that broke before one is tried again. */
const POLLS = 3;

/** Whether a job has ended. */
export function isFinal(job) {
  return FINAL.has(job.status);
}

/**
 * Calls `update` with each state of a job until it has ended. `link` is told `true` as long as
 * states come by themselves, and `false` while the service does not answer.
 */
export async function follow(id, { update, link, signal }) {
  const state = { job: null, lastEvent: undefined, etag: undefined };
  const take = (job) => {
    state.job = job;
    link(true);
    update(job);
  };
  for (let failures = 0; !signal.aborted; ) {
    try {
      if (!state.job) take(await get(jobPath(id), { signal }));
      if (isFinal(state.job)) return;
      await stream(id, state, take, signal);
      for (let polls = 0; polls < POLLS && !isFinal(state.job); polls += 1) await poll(id, state, take, signal);
      failures = 0;
    } catch (error) {
      if (error.name === "AbortError") return;
      // Gone, or not ours: no use in asking again.
      if (error.status >= 400 && error.status < 500 && error.status !== 429) throw error;
      link(false);
      failures += 1;
      await pause(waitAfter(error, failures), signal).catch(() => {});
    }
  }
}

function waitAfter(error, failures) {
  const asked = (error.retryAfter ?? 0) * 1_000;
  return Math.max(asked, Math.min(LONGEST_PAUSE_MS, 500 * 2 ** Math.min(failures, 6)));
}

/** Takes states until the stream ends; a stream that breaks is no error, the polls come next. */
async function stream(id, state, take, signal) {
  const headers = { Accept: "text/event-stream" };
  if (state.lastEvent) headers["Last-Event-ID"] = state.lastEvent;
  const answer = await send("GET", jobPath(id, "/events"), { headers, signal });
  try {
    for await (const event of events(answer.body)) {
      state.lastEvent = event.id ?? state.lastEvent;
      if (event.type === "progress") take({ ...state.job, ...JSON.parse(event.data) });
      // The whole of it: a part's link, the result's link.
      else take(await get(jobPath(id), { signal }));
      if (isFinal(state.job)) return;
    }
  } catch (error) {
    if (error.name === "AbortError" || error.status) throw error;
  }
}

async function poll(id, state, take, signal) {
  const headers = state.etag ? { "If-None-Match": state.etag } : {};
  const answer = await send("GET", jobPath(id, "?wait=10"), { headers, signal });
  if (answer.status === 304) return;
  state.etag = answer.headers.get("ETag") ?? undefined;
  take(await answer.json());
}
