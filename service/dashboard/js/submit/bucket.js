// A place in a bucket, and the role that it is reached in.

import { get } from "../api.js";
import { field, h, put } from "../dom.js";

/** The part of the form. `names` are the paths of both fields; `needsRole` that nothing goes without one. */
export function bucketPart(names, { label, roleLabel, placeholder, hint, needsRole = false, signal }) {
  const uri = h("input", { type: "text", inputmode: "url", autocomplete: "off", spellcheck: "false", placeholder });
  const role = h("input", { type: "text", autocomplete: "off", spellcheck: "false", placeholder: "arn:aws:iam::…:role/…" });
  const trust = h("p", { class: "hint" });
  const told = needsRole ? "A role of yours that may write there." : "A role of yours that may read it; S3 only. Without one it is read as by anybody.";
  const element = h("div", {},
    h("div", { class: "grid" }, field(label, uri, { name: names.uri, hint }), field(roleLabel, role, { name: names.role, hint: told })), trust);
  let isAsked = false;
  role.addEventListener("focus", async () => {
    if (isAsked) return;
    isAsked = true;
    try {
      const { external_id: id } = await get("/v1/workspace", { signal });
      put(trust, "The role's trust policy asks for the external id ", h("code", {}, id), ".");
    } catch {
      isAsked = false;
    }
  });
  return { element, uri: () => uri.value.trim(), role: () => role.value.trim() || undefined };
}
