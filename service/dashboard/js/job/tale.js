// When a job was made, begun and ended, and what it retries.

import { h, moment, put } from "../dom.js";
import { duration } from "../format.js";

/** The line under a job's name. */
export function tale() {
  const element = h("p", { class: "tale" });
  return { element, update: (job) => put(element, parts(job)) };
}

function parts(job) {
  const told = ["Made ", moment(job.created_at)];
  if (job.finished_at) {
    told.push(", ended ", moment(job.finished_at));
    if (job.started_at) told.push(` after ${duration((new Date(job.finished_at) - new Date(job.started_at)) / 1000)}`);
  } else if (job.started_at) told.push(", began ", moment(job.started_at));
  else told.push(", waits for its turn");
  if (job.retry_of) {
    told.push(" · tries the failures of ", h("a", { href: `#/jobs/${encodeURIComponent(job.retry_of)}` }, job.retry_of), " again");
  }
  return told;
}
