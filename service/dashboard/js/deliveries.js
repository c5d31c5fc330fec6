// What became of the webhooks, and sending one again.

import { get, post } from "./api.js";
import { say } from "./announce.js";
import { button, code, h, moment, put, show, tableHead } from "./dom.js";
import { problemBox } from "./problem.js";

/** Shows all deliveries. */
export async function showDeliveries(root, { signal }) {
  const list = deliveries({ signal });
  put(root, h("div", { class: "heading" }, h("h1", {}, "Webhook deliveries"),
    h("p", { class: "hint" }, "Of the last 30 days, newest first. One that failed is tried nine times over about a day.")),
  h("div", { class: "panel" }, list.element));
  await list.load();
  if (list.isEmpty()) put(root, h("h1", {}, "Webhook deliveries"), empty());
}

function empty() {
  const request = { urls: ["https://example.com/"], webhook: "https://your-app.example/hooks/jobs" };
  return h("div", { class: "empty" }, h("h2", {}, "No deliveries yet"),
    h("p", {}, "A job with a webhook tells your address when it has ended. Each message is signed; the secret is shown by “harvestman keys webhook-secret”."),
    code(`curl ${location.origin}/v1/jobs \\\n  -H 'Content-Type: application/json' \\\n  -d '${JSON.stringify(request)}'`));
}

/** The deliveries of a job, or of all. */
export function deliveries({ job, signal }) {
  const body = h("tbody");
  const note = h("div");
  const more = button("Load more", () => load(), { hidden: true });
  const columns = ["Event", "Job", "To", "State", "Tries", "Last answer", "When", "(Action)"];
  const head = tableHead(columns.filter((name) => !job || name !== "Job"), ["Tries"]);
  const table = h("table", { class: "deliveries" },
    h("caption", { class: "unseen" }, "Webhook deliveries, newest first"), head, body);
  let cursor = null;

  const load = async () => {
    more.disabled = true;
    try {
      const query = new URLSearchParams({ limit: "20" });
      if (job) query.set("job", job);
      if (cursor) query.set("cursor", cursor);
      const page = await get(`/v1/webhooks/deliveries?${query}`, { signal });
      body.append(...page.data.map((delivery) => row(delivery, { note, again, isOfOneJob: Boolean(job) })));
      cursor = page.has_more ? page.next_cursor : null;
      show(more, cursor !== null);
    } catch (problem) {
      if (problem.name !== "AbortError") put(note, problemBox(problem));
    } finally {
      more.disabled = false;
    }
  };
  const again = async () => {
    cursor = null;
    body.replaceChildren();
    await load();
  };
  return { element: h("div", {}, note, table, more), load, again, isEmpty: () => body.childElementCount === 0 && !note.hasChildNodes() };
}

function row(delivery, { note, again, isOfOneJob }) {
  const replay = async () => {
    control.disabled = true;
    try {
      await post(`/v1/webhooks/deliveries/${encodeURIComponent(delivery.id)}/replay`);
      say("It is sent again");
      await again();
    } catch (problem) {
      put(note, problemBox(problem));
    } finally {
      control.disabled = false;
    }
  };
  const control = button("Send again", replay, { class: "small", "aria-label": `Send ${delivery.event} of ${delivery.job_id} again` });
  const cell = (label, ...content) => h("td", { "data-label": label }, content);
  return h("tr", {},
    h("th", { scope: "row" }, delivery.event),
    !isOfOneJob && cell("Job", h("a", { href: `#/jobs/${encodeURIComponent(delivery.job_id)}` }, delivery.job_id)),
    cell("To", delivery.host ?? "–"),
    cell("State", h("span", { class: "chip", "data-status": STATES[delivery.state] ?? "queued" }, delivery.state),
      delivery.next_attempt_at && h("span", { class: "under" }, "next try ", moment(delivery.next_attempt_at))),
    h("td", { class: "figure", "data-label": "Tries" }, String(delivery.attempts)),
    cell("Last answer", delivery.http_status ? String(delivery.http_status) : delivery.error ?? "–"),
    cell("When", moment(delivery.created_at)),
    h("td", { class: "end" }, control));
}

const STATES = { pending: "queued", delivered: "completed", failed: "failed" };
