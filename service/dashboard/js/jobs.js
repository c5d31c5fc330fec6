// The list of jobs, live.

import { get, jobPath, pause } from "./api.js";
import { mention } from "./announce.js";
import { button, code, field, h, put, show, tableHead, write } from "./dom.js";
import { isFinal } from "./follow.js";
import { counted } from "./format.js";
import { jobRow } from "./jobs_row.js";
import { problemBox } from "./problem.js";

const PAGE = 50;
const REFRESH_MS = 2_000;
/** How many open jobs further down the list are asked for in one refresh. */
const MOST_OLDER = 5;
const STATUSES = ["queued", "running", "completed", "cancelled", "failed"];

/** Shows the list until the view is left. */
export async function showJobs(root, { parameters, signal }) {
  const list = new List(parameters);
  put(root, heading(parameters), list.element);
  await list.more(signal);
  await keepFresh(list, signal);
}

async function keepFresh(list, signal) {
  for (let wait = REFRESH_MS; ; ) {
    await pause(wait, signal);
    if (document.hidden) continue;
    try {
      await list.refresh(signal);
      list.say(null);
      wait = REFRESH_MS;
    } catch (problem) {
      if (problem.name === "AbortError") throw problem;
      list.say(problem);
      wait = Math.max(10_000, (problem.retryAfter ?? 0) * 1_000);
    }
  }
}

class List {
  #rows = new Map();
  #cursor = null;
  #turn = 0;
  #filter;
  #body = h("tbody");
  #note = h("div");
  #empty = h("div", { hidden: true });
  #count = h("p", { class: "hint" });
  #table = table(this.#body);
  #button = button("Load more", () => this.#loadMore(), { hidden: true });
  #signal;

  constructor(parameters) {
    this.#filter = new URLSearchParams();
    for (const name of ["status", "name"]) {
      if (parameters.get(name)) this.#filter.set(name, parameters.get(name));
    }
    this.element = h("div", { "aria-busy": "true" }, this.#note, this.#table, this.#empty,
      h("div", { class: "actions" }, this.#button, this.#count));
    show(this.#table, false);
  }

  /** Adds the next page. */
  async more(signal) {
    this.#signal = signal;
    const page = await this.#page(this.#cursor, signal);
    for (const job of page.data) this.#take(job);
    this.#cursor = page.has_more ? page.next_cursor : null;
    this.#shown();
  }

  /** Takes up new jobs, and how far those are that have not ended. */
  async refresh(signal) {
    const page = await this.#page(null, signal);
    const fresh = page.data.filter((job) => !this.#rows.has(job.id));
    // Oldest first, each on top: so that they lie in the order of their making.
    for (const job of fresh.toReversed()) this.#take(job, true);
    const seen = new Set(page.data.map((job) => job.id));
    for (const job of page.data) this.#take(job);
    for (const id of this.#older(seen)) this.#take(await get(jobPath(id), { signal }));
    this.#shown();
    const running = [...this.#rows.values()].filter((row) => row.job.status === "running").length;
    if (running > 0) mention(`${counted(running, "job")} running`);
  }

  /** Says what is wrong with the connection, or that all is well. */
  say(problem) {
    put(this.#note, problem && problemBox(problem, "The list is not up to date"));
  }

  #page(cursor, signal) {
    const query = new URLSearchParams(this.#filter);
    query.set("limit", String(PAGE));
    if (cursor) query.set("cursor", cursor);
    return get(`/v1/jobs?${query}`, { signal });
  }

  /** Some of the open jobs below the first page, in turn. */
  #older(seen) {
    const open = [...this.#rows.values()].filter((row) => !isFinal(row.job) && !seen.has(row.job.id));
    const start = open.length > 0 ? this.#turn % open.length : 0;
    this.#turn += MOST_OLDER;
    return [...open.slice(start), ...open.slice(0, start)].slice(0, MOST_OLDER).map((row) => row.job.id);
  }

  #take(job, onTop = false) {
    let row = this.#rows.get(job.id);
    if (!row) {
      row = jobRow();
      this.#rows.set(job.id, row);
      if (onTop) this.#body.prepend(row.element);
      else this.#body.append(row.element);
    }
    row.update(job);
  }

  async #loadMore() {
    this.#button.disabled = true;
    try {
      await this.more(this.#signal);
      this.say(null);
    } catch (problem) {
      if (problem.name !== "AbortError") this.say(problem);
    } finally {
      this.#button.disabled = false;
    }
  }

  #shown() {
    const size = this.#rows.size;
    this.element.setAttribute("aria-busy", "false");
    show(this.#table, size > 0);
    show(this.#empty, size === 0);
    show(this.#button, this.#cursor !== null);
    write(this.#count, size > 0 ? `${counted(size, "job")} shown${this.#cursor ? ", there are older ones" : ""}` : "");
    if (size === 0 && !this.#empty.hasChildNodes()) put(this.#empty, empty(this.#filter.size > 0));
  }
}

function table(body) {
  const head = tableHead(["Job", "Status", "Progress", "Rate", "Time left", "Errors", "Made"], ["Rate", "Time left", "Errors", "Made"]);
  return h("table", { class: "jobs" }, h("caption", { class: "unseen" }, "Jobs, newest first"), head, body);
}

function heading(parameters) {
  return h("div", { class: "heading" }, h("h1", {}, "Jobs"), filters(parameters),
    h("a", { class: "button primary", href: "#/new" }, "New job"));
}

function filters(parameters) {
  const chosen = parameters.get("status") ?? "";
  const options = STATUSES.map((status) => h("option", { value: status, selected: status === chosen }, status));
  const status = h("select", {}, h("option", { value: "" }, "any"), options);
  const name = h("input", { type: "search", placeholder: "the whole name", maxlength: "200", spellcheck: "false" });
  name.value = parameters.get("name") ?? "";
  const apply = (event) => {
    event.preventDefault();
    const query = new URLSearchParams();
    if (status.value) query.set("status", status.value);
    if (name.value.trim()) query.set("name", name.value.trim());
    location.hash = query.size > 0 ? `#/jobs?${query}` : "#/jobs";
  };
  status.addEventListener("change", apply);
  return h("form", { class: "filters", role: "search", "aria-label": "Jobs", submit: apply },
    field("Status", status), field("Name", name), h("button", { type: "submit" }, "Filter"));
}

function empty(isFiltered) {
  if (isFiltered) {
    return h("div", { class: "empty" }, h("p", {}, "No job is like that."), h("p", {}, h("a", { href: "#/jobs" }, "Show all jobs")));
  }
  const request = { urls: ["https://example.com/"], defaults: { extract: { title: "string" } } };
  const call = `curl ${location.origin}/v1/jobs \\\n  -H 'Content-Type: application/json' \\\n  -d '${JSON.stringify(request)}'`;
  return h("div", { class: "empty" }, h("h2", {}, "No jobs yet"),
    h("p", {}, "A job is a list of URLs and, if you like, the fields to find on each page. Every URL ends in one record of one file."),
    h("p", {}, h("a", { class: "button primary", href: "#/new" }, "Make the first one"), " or send it from a terminal:"),
    code(call),
    h("p", { class: "hint" }, "Where the service wants keys, add -H 'Authorization: Bearer $HARVESTMAN_KEY'."));
}
