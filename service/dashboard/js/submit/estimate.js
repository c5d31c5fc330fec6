// What a job would be: the answer to a dry run.

import { h } from "../dom.js";
import { count, duration } from "../format.js";

const FIGURES = [
  ["URLs", (estimate) => count(estimate.urls_total)],
  ["Hosts", (estimate) => count(estimate.hosts)],
  ["Cannot be used", (estimate) => count(estimate.invalid)],
  ["Repeated", (estimate) => count(estimate.duplicates)],
  ["Credits at most", (estimate) => count(estimate.credits_estimate)],
  ["Time, about", (estimate) => duration(estimate.eta_s)],
];

/** Shows the estimate with its warnings. */
export function estimateBox(estimate) {
  const figures = FIGURES.map(([name, text]) => h("div", {}, h("dt", {}, name), h("dd", {}, text(estimate))));
  const warnings = (estimate.warnings ?? []).map((warning) => h("li", {}, warning));
  return h("div", { class: "estimate", role: "status" }, h("dl", { class: "figures" }, figures),
    warnings.length > 0 && h("ul", { class: "remark warn" }, warnings));
}
