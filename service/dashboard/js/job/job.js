// One job, live.

import { say, mention } from "../announce.js";
import { copyButton, h, put, show, write } from "../dom.js";
import { follow, isFinal } from "../follow.js";
import { title as titleOf } from "../format.js";
import { Rate } from "../rate.js";
import { chip, doneOf, shareOf, stateOf } from "../status.js";
import { actions } from "./actions.js";
import { errorsPanel } from "./errors.js";
import { figures } from "./figures.js";
import { hostsPanel } from "./hosts.js";
import { reason } from "./reason.js";
import { resultPanel } from "./result.js";
import { tale } from "./tale.js";
import { webhookPanel } from "./webhook.js";

/** Shows a job until the view is left. */
export async function showJob(root, { id, signal, title }) {
  const page = new Page(id, signal);
  let status = null;
  let last = null;
  const update = (job) => {
    last = job;
    if (!page.element.isConnected) put(root, page.element);
    title(`${titleOf(job)} · ${stateOf(job)}${isFinal(job) ? "" : ` ${shareOf(job)}`}`);
    page.update(job);
    tell(job, status);
    status = job.status;
  };
  // Time goes on where nothing else does.
  const clock = setInterval(() => last && page.update(last), 1_000);
  try {
    await follow(id, { update, link: (isLive) => page.link(isLive), signal });
  } finally {
    clearInterval(clock);
  }
}

function tell(job, before) {
  const words = `${stateOf(job)}: ${doneOf(job)} URLs, ${job.urls_errored} with an error`;
  if (before !== null && before !== job.status) say(words);
  else if (!isFinal(job)) mention(words);
}

class Page {
  #name = h("h1");
  #chip = chip();
  #link = h("span", { class: "link" });
  #raw = h("code");
  #rate = new Rate();
  #panels;

  constructor(id, signal) {
    this.#panels = [actions(), tale(), reason(), figures(), errorsPanel(id, signal), hostsPanel(), resultPanel(id), webhookPanel(id, signal)];
    const [buttons, ...rest] = this.#panels;
    this.element = h("article", {},
      h("p", { class: "path" }, h("a", { href: "#/jobs" }, "Jobs"), " / ", h("code", {}, id), copyButton(id)),
      h("div", { class: "heading" }, this.#name, this.#chip.element, this.#link, buttons.element),
      rest.map((panel) => panel.element),
      h("details", { class: "raw" }, h("summary", {}, "As the API tells it"), h("pre", { tabindex: "0" }, this.#raw)));
  }

  update(job) {
    this.#rate.note(job.urls_done);
    write(this.#name, titleOf(job));
    this.#chip.update(job);
    if (isFinal(job)) show(this.#link, false);
    for (const panel of this.#panels) panel.update(job, this.#rate);
    write(this.#raw, JSON.stringify(job, null, 2));
  }

  /** Says whether states come by themselves. */
  link(isLive) {
    this.#link.dataset.live = String(isLive);
    write(this.#link, isLive ? "live" : "reconnecting…");
  }
}
