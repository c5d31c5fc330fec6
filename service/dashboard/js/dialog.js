// A modal question.

import { button, freshId, h, put } from "./dom.js";
import { problemBox } from "./problem.js";

/**
 * Asks; answers whether the user agreed. With `act`, the dialog stays open until that has worked,
 * and shows why when it has not.
 */
export function dialog({ title, body, confirm, refuse = "Back", danger = false, act }) {
  const id = freshId("dialog");
  const place = h("div", {});
  const yes = h("button", { type: "submit", class: danger ? "danger" : "primary" }, confirm);
  return new Promise((resolve) => {
    let agreed = false;
    const submit = async (event) => {
      event.preventDefault();
      yes.disabled = true;
      try {
        await act?.();
        agreed = true;
        element.close();
      } catch (problem) {
        put(place, problemBox(problem));
      } finally {
        yes.disabled = false;
      }
    };
    // Whoever goes elsewhere has answered.
    const leave = () => element.close();
    const close = () => {
      removeEventListener("hashchange", leave);
      element.remove();
      resolve(agreed);
    };
    const form = h("form", { submit, },
      h("h2", { id }, title), body, place,
      h("div", { class: "actions end" }, button(refuse, () => element.close()), yes));
    const element = h("dialog", { "aria-labelledby": id, close }, form);
    addEventListener("hashchange", leave);
    document.body.append(element);
    element.showModal();
  });
}
