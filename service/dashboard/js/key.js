// The API key: typed by the user, kept for as long as the tab lives, sent nowhere but to this service.

import { dialog } from "./dialog.js";
import { field, h } from "./dom.js";

const PLACE = "harvestman.key";

/** The key, if there is one. */
export function key() {
  return sessionStorage.getItem(PLACE);
}

/** Forgets the key. */
export function forget() {
  sessionStorage.removeItem(PLACE);
  changed();
}

/** What is told when a key comes or goes. */
let changed = () => {};

/** Sets what is told when a key comes or goes. */
export function onChange(listener) {
  changed = listener;
}

let asking = null;

/** Asks for a key, once for all who wait; false if the user would rather not. */
export function ask(problem) {
  asking ??= open(problem).finally(() => {
    asking = null;
  });
  return asking;
}

async function open(problem) {
  const input = h("input", { type: "password", required: true, autocomplete: "off", spellcheck: "false", maxlength: "512" });
  // The first time nobody has done anything wrong yet.
  const isWrong = problem.code !== "missing_credentials";
  const given = await dialog({
    title: "This service wants a key",
    body: [
      isWrong && h("p", { class: "problem", role: "alert" }, problem.message),
      field("API key", input, {
        hint: "Made with “harvestman keys create”. It stays in this tab and is forgotten with it.",
      }),
    ],
    confirm: "Continue",
  });
  if (!given) return false;
  sessionStorage.setItem(PLACE, input.value.trim());
  changed();
  return true;
}
