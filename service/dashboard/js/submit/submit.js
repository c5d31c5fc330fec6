// The form for a new job.

import { idempotencyKeys, post } from "../api.js";
import { say } from "../announce.js";
import { button, h, put } from "../dom.js";
import { problemBox } from "../problem.js";
import { curlPart } from "./curl.js";
import { estimateBox } from "./estimate.js";
import { fieldsPart } from "./fields.js";
import { inputPart } from "./input.js";
import { optionsPart } from "./options.js";
import { previewPart } from "./preview.js";

/** Shows the form. */
export async function showSubmit(root, { signal }) {
  const input = inputPart(signal);
  const fields = fieldsPart();
  const options = optionsPart(signal);
  const parameters = () => ({ extract: fields.extract(), render: options.render() });
  const body = (source) => bodyOf(source, parameters(), options.options());
  const place = h("div");
  const form = h("form", { class: "submit", submit: (event) => event.preventDefault() },
    input.element, fields.element,
    previewPart({ parameters, first: input.first, signal }),
    options.element, curlPart(() => body(input.sketch())), place);
  const once = idempotencyKeys();

  const act = (work) => async () => {
    if (!form.reportValidity()) return;
    busy(form, true);
    unmark(form);
    try {
      // What the form can tell by itself comes before an upload of a gigabyte.
      body({});
      await work(body(await input.input()));
    } catch (problem) {
      if (problem.name !== "AbortError") refused(form, place, problem);
    } finally {
      busy(form, false);
    }
  };
  const check = act(async (job) => {
    put(place, estimateBox(await post("/v1/jobs", { ...job, dry_run: true }, { signal })));
    place.scrollIntoView({ block: "center" });
  });
  const submit = act(async (job) => {
    const made = await post("/v1/jobs", job, { signal, headers: once(job) });
    say("The job is made");
    location.hash = `#/jobs/${encodeURIComponent(made.id)}`;
  });
  form.addEventListener("submit", submit);
  form.append(h("div", { class: "actions end sticky" }, button("Check", check, { title: "Totals and an estimate, without making a job" }),
    h("button", { type: "submit", class: "primary" }, "Submit the job")));
  put(root, h("div", { class: "heading" }, h("h1", {}, "New job")), form);
}

function bodyOf(input, parameters, options) {
  const defaults = parameters.extract || parameters.render ? parameters : undefined;
  return { name: options.name, input, defaults, ...options };
}

function busy(form, isBusy) {
  form.setAttribute("aria-busy", String(isBusy));
  for (const control of form.querySelectorAll(".sticky button")) control.disabled = isBusy;
}

/** Shows what is wrong, and where. */
function refused(form, place, problem) {
  put(place, problemBox(problem, "The job was not made"));
  const wrong = placesOf(problem).map((name) => placeOf(form, name)).find((found) => found !== null);
  if (!wrong) {
    place.scrollIntoView({ block: "center" });
    return;
  }
  wrong.classList.add("wrong");
  const control = wrong.querySelector("input, select, textarea");
  control?.setAttribute("aria-invalid", "true");
  control?.focus();
}

/** The paths that a problem names: in its detail, or at the head of its message. */
function placesOf(problem) {
  const head = /^([a-z_0-9.[\]]+)(?:[:,]| )/.exec(problem.message)?.[1];
  return [...problem.fields, head].filter(Boolean);
}

/** The control for a path, or for what it lies in. */
function placeOf(form, path) {
  for (let name = path.replace(/\[\d+\].*$/, ""); name; name = name.replace(/\.?[^.]*$/, "")) {
    const found = [...form.querySelectorAll("[data-name]")].find((one) => (one.dataset.name === name || one.dataset.name.startsWith(`${name}.`)) && !one.hidden);
    if (found) return found;
  }
  return null;
}

function unmark(form) {
  for (const wrong of form.querySelectorAll(".wrong")) wrong.classList.remove("wrong");
  for (const control of form.querySelectorAll("[aria-invalid]")) control.removeAttribute("aria-invalid");
}
