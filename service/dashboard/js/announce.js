// Tells those who do not see the page what happens on it.

const PAUSE_MS = 15_000;
let last = 0;

/** Says something at once. */
export function say(text) {
  last = Date.now();
  document.getElementById("live").textContent = text;
}

/** Says something that will soon be outdated, unless something was said just now. */
export function mention(text) {
  if (Date.now() - last >= PAUSE_MS) say(text);
}
