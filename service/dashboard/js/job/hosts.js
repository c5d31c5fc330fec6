// The hosts that hold a job up.

import { h, put, section, show, tableHead } from "../dom.js";
import { count, duration, rate } from "../format.js";

const COLUMNS = ["Host", "Waiting", "Under way", "Rate", "Paused for", "Time left"];

/** The panel; it stays away as long as no host is slow. */
export function hostsPanel() {
  const body = h("tbody");
  const element = section("Slowest hosts", { class: "panel", hidden: true },
    h("table", { class: "hosts" }, tableHead(COLUMNS, COLUMNS.slice(1)), body));
  const update = (job) => {
    const hosts = job.slowest_hosts ?? [];
    show(element, hosts.length > 0);
    put(body, hosts.map(row));
  };
  return { element, update };
}

function row(host) {
  const cells = [
    count(host.remaining),
    count(host.in_flight),
    rate(host.per_second),
    host.paused_s > 0 ? duration(host.paused_s) : "–",
    duration(host.eta_s),
  ];
  return h("tr", {}, h("th", { scope: "row" }, host.host),
    cells.map((text, at) => h("td", { class: "figure", "data-label": COLUMNS[at + 1] }, text)));
}
