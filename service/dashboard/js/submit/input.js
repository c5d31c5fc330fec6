// Where the URLs of a new job come from: pasted, a file, an object in a bucket.

import { upload } from "../api.js";
import { field, h, put, show, write } from "../dom.js";
import { bytes, count, counted } from "../format.js";
import { Problem } from "../problem.js";
import { bucketPart } from "./bucket.js";

/** More URLs than these do not go into the request itself; they become an upload. */
const MOST_INLINE = 1_000;
const ACCEPTED = ".csv,.ndjson,.jsonl,.txt,.gz,.zst";

/** The part of the form. */
export function inputPart(signal) {
  const text = h("textarea", { rows: "7", spellcheck: "false", placeholder: "https://example.com/products/1\nhttps://example.com/products/2", wrap: "off", input: () => told() });
  const file = h("input", { type: "file", accept: ACCEPTED, change: () => told() });
  const remark = h("p", { class: "hint", "aria-live": "polite" });
  const bar = h("progress", { max: "1", "aria-label": "Upload", hidden: true });
  const report = h("div");
  const ways = switcher({ paste: "Paste URLs", file: "Upload a file", bucket: "From a bucket" }, () => told());
  const pasted = field("URLs", text, { name: "input.urls", hint: "One a line. A line may be an object with settings of its own: {\"url\": \"https://…\", \"timeout_ms\": 5000}" });
  const chosen = field("File", file, { name: "input.upload_id", hint: "NDJSON or CSV with a column url, up to 1 GB, also as .gz or .zst; or text with one URL a line." });
  const bucket = bucketPart({ uri: "input.s3_uri", role: "input.role_arn" }, {
    label: "Address of the list", roleLabel: "Role for the list", placeholder: "s3://bucket/urls.csv.gz", hint: "s3:// or gs://, read as it is when the job begins.", signal,
  });
  const element = h("fieldset", { class: "panel" }, h("legend", {}, "URLs"), ways.element, pasted, chosen, bucket.element, remark, bar, report);
  const sent = new Uploads(bar, report, signal);

  const isWay = (way) => ways.value() === way;
  const isUpload = () => isWay("file") || (isWay("paste") && lines(text.value).length > MOST_INLINE);
  const told = () => {
    show(pasted, isWay("paste"));
    show(chosen, isWay("file"));
    show(bucket.element, isWay("bucket"));
    const words = { paste: () => pastedRemark(lines(text.value).length), file: () => fileRemark(file.files[0]), bucket: () => "" };
    write(remark, words[ways.value()]());
  };
  told();
  return {
    element,
    /** The first URL, to try things with. */
    first: () => firstOf(text.value),
    /** The `input` of the job; uploads the list first where it is a file, or too long. */
    input: async () => {
      if (isWay("bucket")) return ofBucket(bucket);
      const input = await (isWay("file") ? sent.ofFile(file.files[0]) : ofText(text.value, sent));
      write(remark, "");
      return input;
    },
    /** What `input` looks like before anything is sent. */
    sketch: () => {
      if (isWay("bucket")) return ofBucket(bucket);
      return isUpload() ? { upload_id: "upl_…" } : { urls: urlsOf(text.value, false) };
    },
  };
}

function fileRemark(file) {
  return file ? `${file.name}, ${bytes(file.size)}. It is uploaded when you check or submit.` : "";
}

function pastedRemark(size) {
  if (size === 0) return "";
  return `${counted(size, "URL")}${size > MOST_INLINE ? ", sent as an upload" : ""}`;
}

/** The service says what is wrong with an address. */
function ofBucket(bucket) {
  const uri = bucket.uri();
  return { [uri.startsWith("gs://") ? "gcs_uri" : "s3_uri"]: uri, role_arn: bucket.role() };
}

/** Ways to say something, as radio buttons. */
export function switcher(choices, changed) {
  const name = `way-${Object.keys(choices).join("-")}`;
  const inputs = Object.entries(choices).map(([value, label], at) => {
    const input = h("input", { type: "radio", name, value, id: `${name}-${value}`, checked: at === 0, change: () => changed(value) });
    return { input, element: h("span", { class: "way" }, input, h("label", { for: input.id }, label)) };
  });
  return {
    element: h("div", { class: "ways", role: "radiogroup", "aria-label": Object.values(choices).join(" or ") }, inputs.map((one) => one.element)),
    value: () => inputs.find((one) => one.input.checked).input.value,
    choose: (value) => {
      for (const one of inputs) one.input.checked = one.input.value === value;
    },
  };
}

function lines(text) {
  return text.split(/\r?\n/).map((line) => line.trim()).filter((line) => line !== "");
}

function urlsOf(text, isStrict = true) {
  return lines(text).map((line, at) => {
    if (!line.startsWith("{")) return line;
    try {
      return JSON.parse(line);
    } catch {
      if (isStrict) throw Problem.local(`Line ${at + 1} begins like an object and is no JSON.`, "input.urls");
      return line;
    }
  });
}

function firstOf(text) {
  const [first] = lines(text);
  if (!first?.startsWith("{")) return first ?? "";
  try {
    return String(JSON.parse(first).url ?? "");
  } catch {
    return "";
  }
}

async function ofText(text, sent) {
  const urls = urlsOf(text);
  if (urls.length === 0) throw Problem.local("Paste at least one URL, or choose a file.", "input.urls");
  if (urls.length <= MOST_INLINE) return { urls };
  return sent.ofList(urls.map((url) => `${JSON.stringify(url)}\n`).join(""));
}

/** What was uploaded from this form, so that nothing is sent twice. */
class Uploads {
  #bar;
  #report;
  #signal;
  #sent = null;

  constructor(bar, report, signal) {
    this.#bar = bar;
    this.#report = report;
    this.#signal = signal;
  }

  async ofFile(file) {
    if (!file) throw Problem.local("Choose a file, or paste the URLs.", "input.upload_id");
    const headers = headersOf(file.name);
    if (!headers) return this.#send(file, async () => textLines(file), { "Content-Type": "application/x-ndjson" });
    return this.#send(file, async () => file, headers);
  }

  ofList(text) {
    return this.#send(text, async () => new Blob([text]), { "Content-Type": "application/x-ndjson" });
  }

  async #send(origin, body, headers) {
    if (this.#sent?.origin === origin) return { upload_id: this.#sent.id };
    put(this.#report);
    this.#bar.removeAttribute("value");
    show(this.#bar, true);
    try {
      const progress = (loaded, total) => {
        if (total > 0) this.#bar.value = loaded / total;
      };
      const answer = await upload(await body(), headers, { progress, signal: this.#signal });
      this.#sent = { origin, id: answer.upload_id };
      put(this.#report, uploaded(answer));
      return { upload_id: answer.upload_id };
    } finally {
      show(this.#bar, false);
    }
  }
}

/** What a file is by its name; `null` for text, which the service does not take as it is. */
function headersOf(name) {
  const packed = /\.(gz|zst)$/i.exec(name)?.[1].toLowerCase();
  const bare = packed ? name.slice(0, -packed.length - 1) : name;
  if (!packed && !/\.(csv|ndjson|jsonl)$/i.test(bare)) return null;
  const headers = { "Content-Type": /\.csv$/i.test(bare) ? "text/csv" : "application/x-ndjson" };
  if (packed) headers["Content-Encoding"] = packed === "gz" ? "gzip" : "zstd";
  return headers;
}

/** The largest text file that the browser turns into NDJSON in memory. */
const MOST_TEXT = 200_000_000;

async function textLines(file) {
  if (file.size > MOST_TEXT) throw Problem.local(`A text file may have ${bytes(MOST_TEXT)}; make it NDJSON or CSV.`, "input.upload_id");
  const urls = lines(await file.text());
  return new Blob(urls.map((line) => `${line.startsWith("{") ? line : JSON.stringify(line)}\n`));
}

function uploaded(answer) {
  const words = [h("strong", {}, counted(answer.urls_total, "URL")), ` uploaded as `, h("code", {}, answer.upload_id)];
  if (!answer.invalid_lines) return h("p", { class: "remark" }, words);
  const errors = (answer.errors ?? []).slice(0, 5).map((error) => h("li", {}, `Line ${count(error.line)}: `, error.message, " ", h("code", {}, error.code)));
  return h("div", { class: "remark warn" }, h("p", {}, words, `. ${counted(answer.invalid_lines, "line")} cannot be used; each becomes an error record that costs nothing.`),
    h("ul", {}, errors));
}
