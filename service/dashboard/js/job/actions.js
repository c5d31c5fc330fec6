// What can be done with a job: download, cancel, retry.

import { idempotencyKeys, jobPath, post, send } from "../api.js";
import { say } from "../announce.js";
import { dialog } from "../dialog.js";
import { button, field, h, put, show, webAddress } from "../dom.js";
import { isFinal } from "../follow.js";
import { counted } from "../format.js";
import { problemBox } from "../problem.js";
import { codesOf } from "./errors.js";

/** The buttons; each shows up when it can be used. */
export function actions() {
  let job = null;
  const note = h("div", { class: "note" });
  const download = downloadLink(() => job, note);
  const retry = button("Retry failures…", () => askRetry(job), { hidden: true });
  const cancel = button("Cancel…", () => askCancel(job), { hidden: true, class: "danger" });
  const update = (now) => {
    job = now;
    note.replaceChildren();
    download.update();
    show(retry, isFinal(job) && codesOf(job).length > 0);
    show(cancel, !isFinal(job) && job.phase !== "draining");
  };
  return { element: h("div", { class: "actions" }, cancel, retry, download.element, note), update };
}

/** Leads to the result; a link whose time is over is made anew first. */
function downloadLink(job, note) {
  let until = 0;
  const click = async (event) => {
    if (Date.now() < until) return;
    event.preventDefault();
    try {
      const link = await post(jobPath(job().id, "/download-url"), {});
      element.href = webAddress(link.download_url);
      // Whatever this machine's clock says of it.
      until = Infinity;
      element.click();
    } catch (problem) {
      put(note, problemBox(problem));
    }
  };
  const element = h("a", { class: "button primary", download: true, hidden: true, rel: "noopener", click }, "Download");
  const update = () => {
    const { download_url: url, download_url_expires_at: expiresAt } = job();
    const href = url ? webAddress(url) : null;
    show(element, href !== null);
    if (href === null) return;
    element.href = href;
    until = Date.parse(expiresAt);
  };
  return { element, update };
}

async function askCancel(job) {
  await dialog({
    title: "Cancel this job?",
    body: h("p", {}, "The pages under way are finished, the rest is skipped. What is done by then becomes the result."),
    confirm: "Cancel the job",
    refuse: "Let it run",
    danger: true,
    act: async () => {
      await send("DELETE", jobPath(job.id));
      say("The job is being cancelled");
    },
  });
}

async function askRetry(job) {
  const codes = codesOf(job).map(([code, number]) => {
    const box = h("input", { type: "checkbox", value: code, checked: true });
    return { code, box, element: field(`${code} · ${counted(number, "URL")}`, box, { inline: true }) };
  });
  const skipped = h("input", { type: "checkbox" });
  const name = h("input", { type: "text", maxlength: "200" });
  name.value = job.name ? `${job.name} (retry)` : "";
  const once = idempotencyKeys();
  let made = null;
  const agreed = await dialog({
    title: "Retry the failures",
    body: [
      h("p", {}, "A new job with only the URLs that failed here. Each keeps its place, its id and its settings."),
      h("fieldset", {}, h("legend", {}, "Which"), codes.map((one) => one.element),
        job.urls_skipped > 0 && field(`Also what was skipped · ${counted(job.urls_skipped, "URL")}`, skipped, { inline: true })),
      field("Name", name, { hint: "Left empty, the name stays as it is." }),
    ],
    confirm: "Retry",
    act: async () => {
      const chosen = codes.filter((one) => one.box.checked).map((one) => one.code);
      const body = retryBody(chosen, codes.length, skipped.checked, name.value.trim());
      made = await post(jobPath(job.id, "/retry"), body, { headers: once(body) });
    },
  });
  if (agreed) location.hash = `#/jobs/${encodeURIComponent(made.id)}`;
}

/** Says only what is not as it is by itself. */
function retryBody(chosen, all, includeSkipped, name) {
  const body = {};
  if (chosen.length < all) body.only = { codes: chosen };
  if (includeSkipped) body.include_skipped = true;
  if (name) body.name = name;
  return body;
}
