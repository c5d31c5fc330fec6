// Builds elements. What is given as text becomes text: nothing here, and nothing elsewhere in the
// dashboard, turns a string into markup.

import { relative, time } from "./format.js";

const SVG = "http://www.w3.org/2000/svg";

/** An HTML element. Attributes that are functions listen to the event of that name. */
export function h(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

/** An SVG element. */
export function svg(tag, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(name, value);
    else if (value !== undefined && value !== null && value !== false) {
      element.setAttribute(name, value === true ? "" : value);
    }
  }
  append(element, children);
  return element;
}

function append(element, children) {
  const shown = children.flat(Infinity).filter((child) => child !== undefined && child !== null && child !== false);
  element.append(...shown);
}

/** Puts these children in the place of all that an element has. */
export function put(element, ...children) {
  element.replaceChildren();
  append(element, children);
}

/** Sets a text, if it is another one: so that a selection survives an update. */
export function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Shows or hides an element. */
export function show(element, isShown) {
  element.hidden = !isShown;
}

/** The address if a link may lead there, or `null`. */
export function webAddress(text) {
  try {
    const url = new URL(text, location.href);
    return url.protocol === "http:" || url.protocol === "https:" ? url.href : null;
  } catch {
    return null;
  }
}

/** A link to somewhere else; what is no web address is shown as it is, and leads nowhere. */
export function external(address, text = address, attributes = {}) {
  // Relative addresses are none: what a record says must not lead into this service.
  const href = /^https?:\/\//i.test(address) ? webAddress(address) : null;
  if (!href) return h("span", attributes, text);
  return h("a", { href, rel: "noopener noreferrer", target: "_blank", ...attributes }, text);
}

/** A button that is no submit button. */
export function button(text, click, attributes = {}) {
  return h("button", { type: "button", click, ...attributes }, text);
}

let labels = 0;

/** An id that no other element has. */
export function freshId(prefix) {
  labels += 1;
  return `${prefix}-${labels}`;
}

/** A labelled control with an optional remark; `name` marks it for the service's complaints. */
export function field(label, control, { hint, name, inline = false } = {}) {
  const id = control.id || freshId("field");
  control.id = id;
  const remark = hint && h("p", { class: "hint", id: `${id}-hint` }, hint);
  if (remark) control.setAttribute("aria-describedby", remark.id);
  const words = h("label", { for: id }, label);
  const parts = inline ? [h("span", { class: "check" }, control, words)] : [words, control];
  return h("div", { class: "field", "data-name": name }, parts, remark);
}

/** A time, told from now; the moment itself shows when it is pointed at. */
export function moment(text) {
  return h("time", { datetime: text, title: time(text) }, relative(text));
}

/** A section with its heading. */
export function section(title, attributes, ...children) {
  const id = freshId("section");
  return h("section", { "aria-labelledby": id, ...attributes }, h("h2", { id }, title), children);
}

/** A button that copies a text; where the browser doesn't allow it, it says so. */
export function copyButton(text, label = "Copy") {
  const copy = async () => {
    let said = "Copied";
    try {
      await navigator.clipboard.writeText(typeof text === "function" ? text() : text);
    } catch {
      said = "Not allowed here";
    }
    write(element, said);
    setTimeout(() => write(element, label), 2_000);
  };
  const element = button(label, copy, { class: "quiet small", "aria-live": "polite" });
  return element;
}

/** The head of a table. Columns of figures stand at the end of their cells; one in brackets is for those who hear it only. */
export function tableHead(columns, figures = []) {
  const cells = columns.map((name) => {
    const silent = /^\((.*)\)$/.exec(name)?.[1];
    return h("th", { scope: "col", class: figures.includes(name) && "figure" }, silent ? h("span", { class: "unseen" }, silent) : name);
  });
  return h("thead", {}, h("tr", {}, cells));
}

/** A command or document to read and copy. */
export function code(text) {
  return h("div", { class: "code" }, h("pre", { tabindex: "0" }, h("code", {}, text)), copyButton(text));
}
