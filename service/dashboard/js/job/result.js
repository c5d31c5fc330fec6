// The result: its parts, and links to hand on.

import { jobPath, post } from "../api.js";
import { button, copyButton, field, h, moment, put, section, show, tableHead, webAddress } from "../dom.js";
import { isFinal } from "../follow.js";
import { bytes, count } from "../format.js";
import { problemBox } from "../problem.js";

const TIMES = [["1 hour", 3_600], ["24 hours", 86_400], ["7 days", 604_800], ["30 days", 2_592_000]];

/** The panel; it stays away as long as nothing can be read. */
export function resultPanel(id) {
  const body = h("tbody");
  const table = h("table", { class: "parts" },
    tableHead(["Part", "Rows", "Size", "SHA-256"], ["Rows", "Size"]), body);
  const expiry = h("p", { class: "hint" });
  const links = linkMaker(id);
  const element = section("Result", { class: "panel result", hidden: true }, table, expiry, links.element);
  let shown = "";
  const update = (job) => {
    const parts = job.output?.parts ?? [];
    show(element, parts.length > 0 || Boolean(job.download_url));
    show(table, parts.length > 0);
    const now = JSON.stringify([parts, job.download_url_expires_at]);
    if (now === shown) return;
    shown = now;
    put(body, parts.map(row));
    put(expiry, remark(job));
    show(links.element, Boolean(job.download_url && webAddress(job.download_url)));
  };
  return { element, update };
}

function remark(job) {
  if (!job.download_url) return isFinal(job) ? "" : "Parts that are complete can be read while the job runs.";
  if (!webAddress(job.download_url)) return ["It was delivered to ", h("code", {}, job.download_url), "."];
  const { parts, parts_total: total } = job.output;
  const shown = total > parts.length ? `The first ${count(parts.length)} of ${count(total)} parts. ` : "";
  const what = `${shown}The job's link leads to ${total > 1 ? "the list of its parts" : "the file"}`;
  return [`${what}; whoever has it needs no key. It ends `, moment(job.download_url_expires_at), "."];
}

function row(part, at) {
  const name = part.name ?? `part-${String(at).padStart(5, "0")}`;
  const href = part.url ? webAddress(part.url) : null;
  const words = href ? h("a", { href, download: true, rel: "noopener" }, name) : name;
  const hash = part.sha256 ?? "";
  return h("tr", {}, h("th", { scope: "row" }, words),
    h("td", { class: "figure", "data-label": "Rows" }, count(part.rows)),
    h("td", { class: "figure", "data-label": "Size" }, bytes(part.bytes)),
    h("td", { "data-label": "SHA-256" }, hash ? h("code", { title: hash }, `${hash.slice(0, 12)}…`) : "–"));
}

/** Makes a link that is valid for another time. */
function linkMaker(id) {
  const choice = h("select", {}, TIMES.map(([words, seconds]) => h("option", { value: seconds, selected: seconds === 86_400 }, words)));
  const place = h("div");
  const make = async () => {
    try {
      const link = await post(jobPath(id, "/download-url"), { expires_in_s: Number(choice.value) });
      const shown = h("input", { type: "text", readonly: true, "aria-label": "The link", focus: () => shown.select() });
      shown.value = link.download_url;
      put(place, h("div", { class: "row" }, shown, copyButton(link.download_url)));
      shown.focus();
    } catch (problem) {
      put(place, problemBox(problem));
    }
  };
  const element = h("details", { class: "list" }, h("summary", {}, "A link to hand on"),
    h("div", { class: "row" }, field("Valid for", choice), button("Make a link", make)), place);
  return { element };
}
