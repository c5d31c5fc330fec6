// What went wrong, in the API's words.

import { h } from "./dom.js";

/** An answer that is an error, or the lack of an answer. */
export class Problem extends Error {
  constructor({ status = 0, code, message, trace_id: traceId, retry_after_s: retryAfter, docs_url: docs, detail }) {
    super(message);
    this.status = status;
    this.code = code;
    this.traceId = traceId;
    this.retryAfter = retryAfter;
    this.docs = docs;
    this.fields = Array.isArray(detail?.fields) ? detail.fields : [];
  }

  /** Reads the envelope; a body that is none (a proxy's, say) still makes a problem. */
  static of(status, text, headers) {
    let envelope = {};
    try {
      envelope = JSON.parse(text) ?? {};
    } catch {
      // Some middle box answered in the service's place.
    }
    const { code = `http_${status}`, message = `The service answered with status ${status}.`, ...rest } = envelope;
    return new Problem({ trace_id: headers.get("X-Trace-Id") ?? undefined, ...rest, status, code, message });
  }

  /** No answer came. */
  static unreachable() {
    const message = "The service does not answer. It may be restarting; jobs go on by themselves then.";
    return new Problem({ code: "unreachable", message });
  }

  /** Something that the form can tell by itself. */
  static local(message, ...fields) {
    return new Problem({ code: "not_sent", message, detail: { fields } });
  }
}

/** Shows a problem: what, its code, and what to give to whoever runs the service. */
export function problemBox(problem, heading = "That did not work") {
  const facts = [h("code", {}, problem.code ?? "internal")];
  if (problem.traceId) facts.push(" · trace ", h("code", {}, problem.traceId));
  if (problem.retryAfter) facts.push(` · try again in ${problem.retryAfter} s`);
  return h("div", { class: "problem", role: "alert" },
    h("strong", {}, heading), h("p", {}, problem.message), h("p", { class: "facts" }, facts));
}
