// Why a job has ended before its end.

import { h, put } from "../dom.js";

const REASONS = {
  user: "It was cancelled. What was done until then is in the result.",
  deadline: "Its time was over. What was done until then is in the result.",
  budget: "Its credits were spent. What was done until then is in the result.",
};

/** Says so, if there is something to say. */
export function reason() {
  const element = h("div");
  let shown = "";
  const update = (job) => {
    const now = JSON.stringify([job.status, job.status_reason, job.error]);
    if (now === shown) return;
    shown = now;
    put(element, problemOf(job));
  };
  return { element, update };
}

function problemOf(job) {
  if (job.error) {
    return h("div", { class: "problem" }, h("strong", {}, "The job has failed"),
      h("p", {}, job.error.message), h("p", { class: "facts" }, h("code", {}, job.error.code)));
  }
  const words = REASONS[job.status_reason];
  return words && job.status === "cancelled" ? h("p", { class: "remark" }, words) : null;
}
