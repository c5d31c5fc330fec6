// The fields to find on each page: as rows, or as JSON.

import { button, field, freshId, h, put, show, tableHead } from "../dom.js";
import { Problem } from "../problem.js";
import { switcher } from "./input.js";

const TYPES = ["string", "number", "integer", "boolean", "date", "datetime", "url", "array of string", "array of url", "nullable number", "enum · a | b"];
const EXAMPLE = `{
  "name": "string",
  "price": {"type": "number", "selector": ".price"},
  "in_stock": "boolean"
}`;

/** The part of the form. */
export function fieldsPart() {
  const types = h("datalist", { id: freshId("types") }, TYPES.map((type) => h("option", { value: type })));
  const rows = h("tbody", { keydown: (event) => {
    if (event.key !== "Enter" || event.target.localName !== "input") return;
    // Not the whole job yet: the next field.
    event.preventDefault();
    add().name.focus();
  } });
  const json = h("textarea", { rows: "8", spellcheck: "false", placeholder: EXAMPLE });
  const note = h("p", { class: "hint", role: "status" });
  const head = tableHead(["Name", "Type", "CSS selector", "(Remove)"]);
  const table = h("div", {}, h("table", { class: "schema" }, head, rows),
    button("Add a field", () => add().name.focus(), { class: "small" }));
  const raw = field("Schema", json, { name: "defaults.extract", hint: "A sketch {name: type}, with selectors where you like, or a JSON Schema." });
  const add = (values) => {
    const row = fieldRow(types.id, values);
    rows.append(row.element);
    return row;
  };

  const change = (way) => {
    put(note);
    if (way === "json") {
      const written = readRows(rows);
      if (Object.keys(written).length > 0) json.value = JSON.stringify(written, null, 2);
    } else if (json.value.trim() && !refill(json.value, rows, add)) {
      put(note, "This schema says more than rows can show, so it stays as JSON.");
      ways.choose("json");
    }
    shown();
  };
  const ways = switcher({ rows: "Rows", json: "JSON" }, change);
  const shown = () => {
    show(table, ways.value() === "rows");
    show(raw, ways.value() === "json");
  };
  add({ name: "", type: "string" });
  shown();
  return {
    element: h("fieldset", { class: "panel", "data-name": "defaults.extract" }, h("legend", {}, "Fields to find"),
      h("p", { class: "hint" }, "Without any, each record holds the page as HTML. A field is looked for by its name, unless a selector says where it is."),
      ways.element, table, raw, note, types),
    /** The `extract` of the job, or `undefined`. */
    extract: () => (ways.value() === "rows" ? nonEmpty(readRows(rows)) : readJson(json.value)),
  };
}

function fieldRow(types, { name = "", type = "string", selector = "" } = {}) {
  const input = (label, value, attributes) => {
    const element = h("input", { type: "text", spellcheck: "false", autocomplete: "off", "aria-label": label, ...attributes });
    element.value = value;
    return element;
  };
  const parts = {
    name: input("Name of the field", name, { placeholder: "price", maxlength: "200" }),
    type: input("Type of the field", type, { list: types, placeholder: "string" }),
    selector: input("CSS selector of the field", selector, { placeholder: "found by name" }),
  };
  const remove = button("×", () => {
    const next = element.nextElementSibling ?? element.previousElementSibling;
    element.remove();
    next?.querySelector("input").focus();
  }, { class: "quiet small", "aria-label": "Remove the field" });
  const cells = Object.values(parts).map((control) => h("td", {}, control));
  const element = h("tr", {}, cells, h("td", {}, remove));
  return { element, name: parts.name };
}

/** What the rows say; rows without a name say nothing. */
function readRows(rows) {
  const extract = {};
  for (const row of rows.children) {
    const [name, type, selector] = [...row.querySelectorAll("input")].map((input) => input.value.trim());
    if (!name) continue;
    if (Object.hasOwn(extract, name)) throw Problem.local(`The field “${name}” is there twice.`, "defaults.extract");
    const kind = type || "string";
    extract[name] = selector ? { type: kind, selector } : kind;
  }
  return extract;
}

function nonEmpty(extract) {
  return Object.keys(extract).length > 0 ? extract : undefined;
}

function readJson(text) {
  if (!text.trim()) return undefined;
  try {
    return JSON.parse(text);
  } catch (error) {
    throw Problem.local(`The schema is no JSON: ${error.message}`, "defaults.extract");
  }
}

/** Shows a schema as rows, if rows can show all of it. */
function refill(text, rows, add) {
  let schema;
  try {
    schema = Object.entries(JSON.parse(text)).map(asRow);
  } catch {
    return false;
  }
  if (schema.length === 0 || schema.includes(null)) return false;
  rows.replaceChildren();
  schema.forEach(add);
  return true;
}

function asRow([name, rule]) {
  if (typeof rule === "string") return { name, type: rule };
  const { type = "string", selector, ...rest } = rule ?? {};
  const isPlain = typeof type === "string" && typeof selector === "string" && Object.keys(rest).length === 0;
  return isPlain ? { name, type, selector } : null;
}
