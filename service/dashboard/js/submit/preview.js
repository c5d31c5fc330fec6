// What the extraction yields on one page, where it was found and how sure that is.

import { post } from "../api.js";
import { say } from "../announce.js";
import { button, external, field, h, put, svg, tableHead } from "../dom.js";
import { count, counted } from "../format.js";
import { Problem, problemBox } from "../problem.js";

/** The longest value that is shown whole. */
const MOST_CHARS = 400;

/** The part of the form. `parameters` gives those of the page, `first` a URL to begin with. */
export function previewPart({ parameters, first, signal }) {
  const url = h("input", { type: "url", inputmode: "url", spellcheck: "false", placeholder: "the first of the list" });
  const place = h("div", { "aria-live": "polite" });
  const look = async () => {
    go.disabled = true;
    put(place, h("p", { class: "hint" }, "Fetching the page…"));
    try {
      const target = url.value.trim() || first();
      if (!target) throw Problem.local("Give a URL to look at, or paste the list first.", "input.urls");
      const found = await post("/v1/preview", { url: target, ...parameters() }, { signal });
      put(place, preview(found));
      say("The preview is there");
    } catch (problem) {
      if (problem.name !== "AbortError") put(place, problemBox(problem, "No preview"));
    } finally {
      go.disabled = false;
    }
  };
  const go = button("Preview", look);
  url.addEventListener("keydown", (event) => {
    if (event.key !== "Enter") return;
    // The form would be submitted otherwise.
    event.preventDefault();
    look();
  });
  return h("section", { class: "panel preview", "aria-label": "Preview" },
    h("h2", {}, "Preview"), h("p", { class: "hint" }, "Try the fields on one page before the whole list."),
    h("div", { class: "row" }, field("Page", url), go), place);
}

function preview({ record, confidence = {}, source = {} }) {
  const raw = h("details", { class: "raw" }, h("summary", {}, "The whole record"),
    h("pre", { tabindex: "0" }, h("code", {}, JSON.stringify(record, null, 2))));
  if (record.status === "error") {
    return [problemBox({ code: record.code, message: record.message }, "The page has no data"), raw];
  }
  const facts = [external(record.final_url ?? record.url), ` · status ${record.http_status} · `, `${count(record.elapsed_ms)} ms`, ` · ${counted(record.credits ?? 0, "credit")} in a job`];
  const data = Object.entries(record.data ?? {});
  if (data.length === 0) return [h("p", { class: "hint" }, facts), h("p", {}, "Without fields to find the record holds the page itself."), raw];
  const rows = data.map(([name, value]) => row(name, value, record, confidence[name], source[name]));
  return [h("p", { class: "hint" }, facts),
    h("table", { class: "found" }, h("caption", { class: "unseen" }, "What was found"), tableHead(["Field", "Value", "Sure"], ["Sure"]), h("tbody", {}, rows)), raw];
}

function row(name, value, record, sure, place) {
  const remark = record.field_errors?.[name] ?? (record.missing?.includes(name) ? "not found" : null);
  const isMissing = value === null || value === undefined;
  return h("tr", {}, h("th", { scope: "row" }, name),
    h("td", { "data-label": "Value", class: isMissing ? "value soft" : "value" }, isMissing ? remark ?? "null" : valueOf(value),
      place && h("span", { class: "under" }, place)),
    h("td", { "data-label": "Sure", class: "figure" }, typeof sure === "number" ? meter(sure) : "–"));
}

/** A value as text; addresses can be followed. */
function valueOf(value) {
  const text = typeof value === "string" ? value : JSON.stringify(value, null, 1);
  const shown = text.length > MOST_CHARS ? `${text.slice(0, MOST_CHARS)}…` : text;
  return typeof value === "string" && /^https?:\/\//i.test(value) ? external(value, shown) : shown;
}

function meter(sure) {
  const level = sure >= 0.8 ? "high" : sure >= 0.5 ? "middle" : "low";
  const rect = svg("rect", { width: `${Math.round(Math.min(1, Math.max(0, sure)) * 100)}%`, height: "6", rx: "3" });
  return [svg("svg", { class: "meter", "data-level": level, height: "6", "aria-hidden": "true" }, rect), ` ${Math.round(sure * 100)} %`];
}
