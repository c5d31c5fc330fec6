// The figures of a job: how far, how fast, how long still, at what cost.

import { h, section, svg, write } from "../dom.js";
import { isFinal } from "../follow.js";
import { count, duration, percent, rate } from "../format.js";
import { doneOf, progressBar, shareOf } from "../status.js";

const FIGURES = [
  ["With data", "ok", (job) => count(job.urls_ok)],
  ["Errors", "errored", (job) => `${count(job.urls_errored)}${job.urls_errored > 0 ? ` · ${percent(job.urls_errored, job.urls_done)}` : ""}`],
  ["Skipped", "skipped", (job) => count(job.urls_skipped ?? 0)],
  ["Under way", null, (job) => (isFinal(job) ? "–" : count(job.in_flight ?? 0))],
  ["Rate", null, (job, speed) => rate(isFinal(job) ? averageOf(job) : speed.value ?? job.per_second)],
  ["Time left", null, (job) => (isFinal(job) ? "–" : duration(job.eta_s))],
  ["Time taken", null, (job) => duration(secondsOf(job))],
  ["Credits", null, (job) => count(job.credits_used)],
];

/** The progress bar with the figures below it. */
export function figures() {
  const bar = progressBar("Progress");
  const done = h("span");
  const share = h("strong", { class: "share" });
  const line = curve();
  const values = FIGURES.map(([name, part]) => {
    const value = h("dd");
    return { value, element: h("div", { "data-part": part }, h("dt", {}, name), value, name === "Rate" && line.element) };
  });
  const element = section("Progress", { class: "panel progress-panel" },
    h("div", { class: "summary" }, share, done), bar.element,
    h("dl", { class: "figures" }, values.map((one) => one.element)));
  const update = (job, speed) => {
    bar.update(job);
    write(share, shareOf(job));
    write(done, doneOf(job));
    FIGURES.forEach(([, , text], at) => write(values[at].value, text(job, speed)));
    line.update(isFinal(job) ? [] : speed.history);
  };
  return { element, update };
}

function secondsOf(job) {
  if (!job.started_at) return null;
  const end = job.finished_at ? new Date(job.finished_at) : new Date();
  return (end - new Date(job.started_at)) / 1000;
}

function averageOf(job) {
  const seconds = secondsOf(job);
  return seconds > 0 ? job.urls_done / seconds : null;
}

/** The rate of late as a line: decoration beside the figure. */
function curve() {
  const line = svg("polyline", { fill: "none", "vector-effect": "non-scaling-stroke" });
  const area = svg("polygon");
  const element = svg("svg", { class: "curve", viewBox: "0 0 100 24", preserveAspectRatio: "none", "aria-hidden": "true" }, area, line);
  const update = (values) => {
    const highest = Math.max(...values, 0.001);
    const step = 100 / Math.max(1, values.length - 1);
    const points = values.map((value, at) => `${(at * step).toFixed(1)},${(23 - (value / highest) * 22).toFixed(1)}`);
    element.toggleAttribute("hidden", values.length < 2);
    line.setAttribute("points", points.join(" "));
    area.setAttribute("points", ["0,24", ...points, "100,24"].join(" "));
  };
  return { element, update };
}
