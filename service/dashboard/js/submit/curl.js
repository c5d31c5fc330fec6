// The form as a command, for those who go on in a script.

import { button, code, h, put } from "../dom.js";
import { key } from "../key.js";
import { problemBox } from "../problem.js";

/** More than these URLs are not written out. */
const MOST_URLS = 3;

/** A fold that shows the command for what the form says now. */
export function curlPart(request) {
  const place = h("div");
  const write = () => {
    try {
      put(place, code(command(request())));
    } catch (problem) {
      put(place, problemBox(problem));
    }
  };
  const fold = h("details", { class: "panel", toggle: () => fold.open && write() },
    h("summary", {}, "The same with curl"), place, h("div", { class: "actions" }, button("Write it again", write, { class: "quiet small" })));
  return fold;
}

function command(body) {
  const urls = body.input.urls;
  const shown = urls?.length > MOST_URLS ? { ...body, input: { urls: [...urls.slice(0, MOST_URLS), "…"] } } : body;
  const json = JSON.stringify(shown, null, 2).replaceAll("'", "'\\''");
  // The key itself stays where it is.
  const authorization = key() ? "  -H \"Authorization: Bearer $HARVESTMAN_KEY\" \\\n" : "";
  const sending = body.input.upload_id ? `curl ${location.origin}/v1/uploads \\\n${authorization}  -H 'Content-Type: application/x-ndjson' \\\n  --data-binary @urls.ndjson\n\n` : "";
  return `${sending}curl ${location.origin}/v1/jobs \\\n${authorization}  -H 'Content-Type: application/json' \\\n  -d '${json}'`;
}
