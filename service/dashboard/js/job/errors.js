// Errors by code, and the first of them one by one.

import { get, jobPath } from "../api.js";
import { button, external, field, h, put, section, show, svg, tableHead, write } from "../dom.js";
import { isFinal } from "../follow.js";
import { count, percent } from "../format.js";
import { problemBox } from "../problem.js";

const PAGE = 20;

/** Counts by code, the most frequent first. */
export function codesOf(job) {
  const codes = Object.entries(job.by_code ?? {}).filter(([code, number]) => code !== "ok" && number > 0);
  return codes.sort((one, other) => other[1] - one[1] || one[0].localeCompare(other[0]));
}

/** The panel; it stays away as long as nothing has gone wrong. */
export function errorsPanel(id, signal) {
  const bars = h("ul", { class: "codes" });
  const list = failures(id, signal);
  const element = section("Errors", { class: "panel errors", hidden: true }, bars, list.element);
  let shown = "";
  const update = (job) => {
    const codes = codesOf(job);
    show(element, codes.length > 0);
    const now = JSON.stringify([codes, job.status]);
    if (now === shown) return;
    shown = now;
    put(bars, codes.map(([code, number]) => bar(code, number, codes[0][1], job)));
    list.update(job);
  };
  return { element, update };
}

function bar(code, number, most, job) {
  const width = `${((number / most) * 100).toFixed(1)}%`;
  const chart = svg("svg", { class: "chart", "aria-hidden": "true", height: "10" }, svg("rect", { width, height: "10", rx: "3" }));
  return h("li", {}, h("code", {}, code), chart,
    h("span", { class: "figure" }, count(number)), h("span", { class: "figure soft" }, percent(number, job.urls_done)));
}

/** The errors one by one: asked for when wanted, and anew when there are more. */
function failures(id, signal) {
  const body = h("tbody");
  const note = h("div");
  const head = tableHead(["Line", "URL", "Code", "Status", "Message", "Tries"], ["Line", "Status", "Tries"]);
  const table = h("table", { class: "failures" }, h("caption", { class: "unseen" }, "Errors in the order of the input"), head, body);
  const more = button("Load more", () => load(), { hidden: true });
  const choice = h("select", { change: () => restart() });
  const element = h("details", { class: "list", toggle: () => element.open && restart() },
    h("summary", {}, "One by one"), field("Code", choice), note, table, more);
  let cursor = null;
  let isLoading = false;

  const load = async () => {
    if (isLoading) return;
    isLoading = true;
    more.disabled = true;
    try {
      const query = new URLSearchParams({ limit: String(PAGE) });
      if (cursor) query.set("cursor", cursor);
      if (choice.value) query.set("code", choice.value);
      const page = await get(jobPath(id, `/errors?${query}`), { signal });
      if (!cursor) body.replaceChildren();
      body.append(...page.data.map(row));
      cursor = page.has_more ? page.next_cursor : null;
      show(more, cursor !== null);
      put(note);
    } catch (problem) {
      if (problem.name !== "AbortError") put(note, problemBox(problem));
    } finally {
      isLoading = false;
      more.disabled = false;
    }
  };
  const restart = () => {
    cursor = null;
    return load();
  };
  const update = (job) => {
    offer(choice, codesOf(job));
    // While the job runs, only a list that is not full yet is read again.
    if (element.open && (isFinal(job) || body.childElementCount < PAGE)) restart();
  };
  return { element, update };
}

/** Offers the codes that there are, and keeps what is chosen. */
function offer(choice, codes) {
  const chosen = choice.value;
  const options = codes.map(([code]) => h("option", { value: code, selected: code === chosen }, code));
  put(choice, h("option", { value: "" }, "all"), options);
}

function addressOf({ url }) {
  return typeof url === "string" ? url : url === null ? "–" : JSON.stringify(url);
}

function row(record) {
  const cell = (label, attributes, ...content) => h("td", { "data-label": label, ...attributes }, content);
  const status = h("td", { "data-label": "Status", class: "figure" });
  write(status, record.http_status ? String(record.http_status) : "–");
  return h("tr", {},
    cell("Line", { class: "figure" }, count(record.line ?? record.index + 1)),
    cell("URL", { class: "address" }, external(addressOf(record))),
    cell("Code", {}, h("code", {}, record.code), record.retryable && h("span", { class: "soft", title: "A later try may well succeed" }, " ↻")),
    status,
    cell("Message", { class: "message" }, record.message),
    cell("Tries", { class: "figure" }, count(record.attempts)));
}
