// What the result looks like, and how the job runs.

import { field, h } from "../dom.js";
import { bucketPart } from "./bucket.js";

/** The parts of the form. */
export function optionsPart(signal) {
  const format = choice({ ndjson: "NDJSON", csv: "CSV", parquet: "Parquet" });
  const gzip = h("input", { type: "checkbox" });
  const name = h("input", { type: "text", maxlength: "200", autocomplete: "off" });
  const concurrency = number("32", 1, 256);
  concurrency.value = "32";
  const render = h("input", { type: "checkbox" });
  const webhook = h("input", { type: "url", inputmode: "url", placeholder: "https://your-app.example/hooks/jobs", spellcheck: "false" });
  const credits = number("no limit", 1);
  const deadline = number("no limit", 1);
  const delivery = bucketPart({ uri: "output.s3_uri", role: "output.role_arn" }, {
    label: "Deliver to a bucket of yours", roleLabel: "Role for the delivery", placeholder: "s3://bucket/directory", hint: "Instead of keeping the result here.", needsRole: true, signal,
  });
  const dedupe = h("input", { type: "checkbox" });
  format.addEventListener("change", () => {
    // Parquet is packed inside already.
    gzip.disabled = format.value === "parquet";
  });

  const element = h("fieldset", { class: "panel" }, h("legend", {}, "Job"),
    h("div", { class: "grid" },
      field("Name", name, { name: "name", hint: "For you to find it again." }),
      field("Format", format, { name: "output.format", hint: "CSV and Parquet need fields to find." }),
      field("Pages at a time", concurrency, { name: "concurrency", hint: "1 to 256. A host that slows down is asked less." }),
      field("Webhook", webhook, { name: "webhook.url", hint: "Told when the job has ended." }),
      field("Most credits", credits, { name: "max_credits", hint: "The job stops before it costs more." }),
      field("Most seconds", deadline, { name: "deadline_s", hint: "Then it ends with what is done." })),
    h("div", { class: "checks" },
      field("Pack the result with gzip", gzip, { inline: true, name: "output.gzip" }),
      field("Run the pages in a browser", render, { inline: true, name: "defaults.render" }),
      field("Fetch each URL once", dedupe, { inline: true, name: "dedupe" })),
    delivery.element);

  /** Only what is not as it is by itself. */
  const options = () => ({
    name: name.value.trim() || undefined,
    concurrency: whole(concurrency),
    output: {
      format: format.value,
      gzip: gzip.checked && !gzip.disabled ? true : undefined,
      s3_uri: delivery.uri() || undefined,
      role_arn: delivery.role(),
    },
    webhook: webhook.value.trim() || undefined,
    max_credits: whole(credits),
    deadline_s: whole(deadline),
    dedupe: dedupe.checked ? true : undefined,
  });
  return { element, options, render: () => (render.checked ? true : undefined) };
}

function choice(values) {
  return h("select", {}, Object.entries(values).map(([value, label]) => h("option", { value }, label)));
}

function number(placeholder, min, max) {
  return h("input", { type: "number", inputmode: "numeric", step: "1", min, max, placeholder });
}

function whole(input) {
  return input.value === "" ? undefined : Number(input.value);
}
