// A job's state and how far it is, as lists and the job's own page show it.

import { h, write } from "./dom.js";
import { count, percent } from "./format.js";

const WORDS = {
  queued: "Queued",
  running: "Running",
  completed: "Completed",
  cancelled: "Cancelled",
  failed: "Failed",
};
const PHASES = {
  validating: "Reading the input",
  fetching: "Running",
  draining: "Stopping",
  finalizing: "Finishing the files",
};

/** A chip that shows the state, and is updated by the function beside it. */
export function chip() {
  const element = h("span", { class: "chip" });
  const update = (job) => {
    element.dataset.status = job.status;
    write(element, stateOf(job));
  };
  return { element, update };
}

/** The state in words. */
export function stateOf(job) {
  return (job.status === "running" && PHASES[job.phase]) || WORDS[job.status] || String(job.status);
}

/** `48,217 of 128,400` */
export function doneOf(job) {
  if (typeof job.urls_total !== "number") return `${count(job.urls_done)} done`;
  return `${count(job.urls_done)} of ${count(job.urls_total)}`;
}

/** The share that is done, as far as that is known. */
export function shareOf(job) {
  return percent(job.urls_done, job.urls_total);
}

/** A bar of what is done: with data, with errors, skipped. */
export function progressBar(label) {
  const parts = ["ok", "errored", "skipped", "left"].map((name) => h("span", { "data-part": name }));
  const element = h("div", { class: "progress", role: "progressbar", "aria-label": label, "aria-valuemin": "0", "aria-valuemax": "100" }, parts);
  const update = (job) => {
    const errored = job.urls_errored ?? 0;
    const ok = Math.max(0, (job.urls_done ?? 0) - errored);
    const skipped = job.urls_skipped ?? 0;
    const isUnknown = typeof job.urls_total !== "number";
    const left = isUnknown ? 0 : Math.max(0, job.urls_total - ok - errored - skipped);
    [ok, errored, skipped, isUnknown ? 1 : left].forEach((width, at) => {
      parts[at].style.flexGrow = String(width);
      parts[at].hidden = width === 0;
    });
    element.dataset.status = job.status;
    element.classList.toggle("unknown", isUnknown && job.status === "running");
    element.setAttribute("aria-valuetext", `${doneOf(job)}, ${count(errored)} with an error`);
    if (isUnknown || job.urls_total === 0) element.removeAttribute("aria-valuenow");
    else element.setAttribute("aria-valuenow", String(Math.floor((job.urls_done / job.urls_total) * 100)));
  };
  return { element, update };
}
