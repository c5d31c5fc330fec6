// One row of the list of jobs.

import { h, write } from "./dom.js";
import { isFinal } from "./follow.js";
import { count, duration, rate, relative, time, title } from "./format.js";
import { Rate } from "./rate.js";
import { chip, doneOf, progressBar, shareOf } from "./status.js";

/** An empty row; `update` fills it, and `job` is what it was filled with. */
export function jobRow() {
  const cells = {
    link: h("a"),
    id: h("code", { class: "id" }),
    chip: chip(),
    bar: progressBar("Progress"),
    done: h("span"),
    rate: h("td", { class: "figure", "data-label": "Rate" }),
    left: h("td", { class: "figure", "data-label": "Time left" }),
    errors: h("td", { class: "figure", "data-label": "Errors" }),
    made: h("time"),
  };
  const speed = new Rate();
  const row = { element: layOut(cells), job: null };
  row.update = (job) => {
    row.job = job;
    speed.note(job.urls_done);
    fill(cells, job, speed.value ?? job.per_second);
  };
  return row;
}

function layOut(cells) {
  return h("tr", {},
    h("th", { scope: "row" }, cells.link, cells.id),
    h("td", { "data-label": "Status" }, cells.chip.element),
    h("td", { class: "wide", "data-label": "Progress" }, cells.bar.element, h("span", { class: "under" }, cells.done)),
    cells.rate, cells.left, cells.errors,
    h("td", { class: "figure", "data-label": "Made" }, cells.made));
}

function fill(cells, job, speed) {
  const isRunning = job.status === "running";
  write(cells.link, title(job));
  cells.link.setAttribute("href", `#/jobs/${encodeURIComponent(job.id)}`);
  write(cells.id, job.name ? job.id : "");
  cells.chip.update(job);
  cells.bar.update(job);
  cells.bar.element.setAttribute("aria-label", `Progress of ${title(job)}`);
  write(cells.done, `${doneOf(job)} · ${shareOf(job)}`);
  write(cells.rate, isRunning ? rate(speed) : averageOf(job));
  write(cells.left, isFinal(job) ? "–" : duration(job.eta_s));
  write(cells.errors, count(job.urls_errored));
  cells.errors.classList.toggle("some", job.urls_errored > 0);
  write(cells.made, relative(job.created_at));
  cells.made.setAttribute("datetime", job.created_at);
  cells.made.setAttribute("title", time(job.created_at));
}

/** Over the whole of a job that has ended. */
function averageOf(job) {
  const seconds = (new Date(job.finished_at) - new Date(job.started_at)) / 1000;
  return job.started_at && job.finished_at && seconds > 0 ? rate(job.urls_done / seconds) : "–";
}
