// Which page of the dashboard is shown: the part of the address behind `#`.

import { say } from "./announce.js";
import { h, put, show } from "./dom.js";
import { forget, key, onChange } from "./key.js";
import { problemBox } from "./problem.js";
import { showDeliveries } from "./deliveries.js";
import { showJob } from "./job/job.js";
import { showJobs } from "./jobs.js";
import { showSubmit } from "./submit/submit.js";

const main = document.getElementById("main");
const keyButton = document.getElementById("key");
let leave = new AbortController();
let isFirst = true;

const VIEWS = {
  jobs: { title: "Jobs", show: showJobs },
  job: { title: "Job", show: showJob },
  new: { title: "New job", show: showSubmit },
  webhooks: { title: "Webhook deliveries", show: showDeliveries },
};

/** `#/jobs/job_1?x=y` as a view, an id and parameters. */
function route() {
  const [path, query = ""] = location.hash.replace(/^#\/?/, "").split("?", 2);
  const [name = "", id] = path.split("/");
  const parameters = new URLSearchParams(query);
  if (name === "jobs" && id) return { name: "job", id: unescaped(id), parameters };
  return { name: name in VIEWS && name !== "job" ? name : "jobs", parameters };
}

function unescaped(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

async function navigate() {
  leave.abort();
  leave = new AbortController();
  const { signal } = leave;
  const { name, id, parameters } = route();
  const view = VIEWS[name];
  const root = h("div", { class: `view ${name}` });
  put(main, root);
  mark(name);
  title(view.title);
  try {
    await view.show(root, { id, parameters, signal, title });
  } catch (problem) {
    if (problem.name !== "AbortError") failed(root, view.title, problem);
  }
}

function failed(root, words, problem) {
  const again = h("button", { type: "button", click: navigate }, "Try again");
  put(root, h("h1", {}, words), problemBox(problem, "This cannot be shown"), h("div", { class: "actions" }, again));
}

/** Names the page; those who hear it are told, and read on from its beginning. */
function title(words) {
  document.title = `${words} · Harvestman`;
}

function mark(name) {
  const section = name === "job" ? "jobs" : name;
  for (const link of document.querySelectorAll("nav a")) {
    if (link.dataset.view === section) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
}

function arrive() {
  navigate();
  if (!isFirst) {
    main.focus({ preventScroll: true });
    scrollTo(0, 0);
    say(VIEWS[route().name].title);
  }
  isFirst = false;
}

const showKey = () => show(keyButton, key() !== null);
onChange(showKey);
showKey();
keyButton.addEventListener("click", () => {
  forget();
  navigate();
});
document.getElementById("skip").addEventListener("click", (event) => {
  event.preventDefault();
  main.focus();
});
addEventListener("hashchange", arrive);
arrive();
