// How fast a job is, from successive states of it.

const WINDOW_MS = 20_000;
const HISTORY = 120;

/** Records a second over the last 20 s, and how that went. */
export class Rate {
  #samples = [];
  #history = [];

  /** Notes how many URLs are done by now. */
  note(done, now = performance.now()) {
    const last = this.#samples.at(-1);
    // Figures change with each commit, about once a second; in between nothing is known.
    if (last && last.done === done && now - last.at < 2_000) return;
    this.#samples.push({ at: now, done });
    while (this.#samples.length > 2 && now - this.#samples[0].at > WINDOW_MS) this.#samples.shift();
    const rate = this.value;
    if (rate === null) return;
    this.#history.push(rate);
    if (this.#history.length > HISTORY) this.#history.shift();
  }

  /** URLs a second, or `null` as long as there are no two states to compare. */
  get value() {
    const first = this.#samples[0];
    const last = this.#samples.at(-1);
    if (!first || last.at - first.at < 500) return null;
    return Math.max(0, (last.done - first.done) / ((last.at - first.at) / 1000));
  }

  /** The values so far, oldest first. */
  get history() {
    return this.#history;
  }
}
