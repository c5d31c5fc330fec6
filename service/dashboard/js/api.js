// The HTTP API, as any other client sees it.

import { ask, forget, key } from "./key.js";
import { Problem } from "./problem.js";

function headersOf(given) {
  const headers = new Headers(given);
  if (key()) headers.set("Authorization", `Bearer ${key()}`);
  return headers;
}

/** Sends a request; asks for a key where one is needed, and throws a `Problem` for any error. */
export async function send(method, path, { body, headers = {}, signal } = {}) {
  for (;;) {
    const answer = await attempt(method, path, { body, headers: headersOf(headers), signal });
    if (answer.ok || answer.status === 304) return answer;
    const problem = Problem.of(answer.status, await answer.text(), answer.headers);
    if (!(await mayRetry(problem))) throw problem;
  }
}

async function attempt(method, path, options) {
  try {
    return await fetch(path, { method, cache: "no-store", credentials: "omit", redirect: "error", ...options });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw Problem.unreachable();
  }
}

/** Whether the user has given another key. */
async function mayRetry(problem) {
  if (problem.status !== 401) return false;
  forget();
  return ask(problem);
}

/** Reads a document. */
export async function get(path, options) {
  return (await send("GET", path, options)).json();
}

/** Sends a document and reads the answer. */
export async function post(path, document, { headers = {}, ...options } = {}) {
  const body = document === undefined ? undefined : JSON.stringify(document);
  const all = body === undefined ? headers : { "Content-Type": "application/json", ...headers };
  return (await send("POST", path, { ...options, body, headers: all })).json();
}

/** Sends a file and tells how far it is, which `fetch` cannot. */
export async function upload(file, headers, { progress, signal } = {}) {
  for (;;) {
    const request = await transfer(file, headers, progress, signal);
    if (request.status >= 200 && request.status < 300) return JSON.parse(request.responseText);
    const answered = { get: (name) => request.getResponseHeader(name) };
    const problem = Problem.of(request.status, request.responseText, answered);
    if (!(await mayRetry(problem))) throw problem;
  }
}

function transfer(file, headers, progress, signal) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("POST", "/v1/uploads");
    for (const [name, value] of headersOf(headers)) request.setRequestHeader(name, value);
    request.upload.addEventListener("progress", (event) => progress?.(event.loaded, event.total));
    request.addEventListener("load", () => resolve(request));
    request.addEventListener("error", () => reject(Problem.unreachable()));
    request.addEventListener("abort", () => reject(new DOMException("Aborted", "AbortError")));
    signal?.addEventListener("abort", () => request.abort());
    request.send(file);
  });
}

/**
 * Idempotency keys for one form: the same document gets the same key each time, so that sending it
 * again after a lost answer does not do it twice.
 */
export function idempotencyKeys() {
  const keys = new Map();
  return (document) => {
    const text = JSON.stringify(document);
    if (!keys.has(text)) keys.set(text, randomKey());
    return { "Idempotency-Key": keys.get(text) };
  };
}

function randomKey() {
  const random = crypto.getRandomValues(new Uint8Array(16));
  return `dashboard-${Array.from(random, (byte) => byte.toString(16).padStart(2, "0")).join("")}`;
}

/** The path of a job, whatever its id is. */
export function jobPath(id, rest = "") {
  return `/v1/jobs/${encodeURIComponent(id)}${rest}`;
}

/** Waits, unless the view is left meanwhile. */
export function pause(ms, signal) {
  return new Promise((resolve, reject) => {
    const stop = () => {
      clearTimeout(timer);
      reject(new DOMException("Aborted", "AbortError"));
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", stop);
      resolve();
    }, ms);
    if (signal?.aborted) stop();
    else signal?.addEventListener("abort", stop, { once: true });
  });
}
