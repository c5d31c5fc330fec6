// The webhook deliveries of a job.

import { deliveries } from "../deliveries.js";
import { section, show } from "../dom.js";
import { isFinal } from "../follow.js";

/** The panel; it stays away if the job tells nobody. */
export function webhookPanel(id, signal) {
  const list = deliveries({ job: id, signal });
  const element = section("Webhook deliveries", { class: "panel", hidden: true }, list.element);
  let isAsked = false;
  const update = async (job) => {
    // Nothing is sent before the job has ended.
    if (isAsked || !isFinal(job)) return;
    isAsked = true;
    await list.load();
    show(element, !list.isEmpty());
  };
  return { element, update };
}
