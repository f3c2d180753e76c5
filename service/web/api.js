/** The HTTP contract, version 1, as far as the pages use it. */

import { gainSession } from "./key.js";

const WAIT_SECONDS = 60; // a service that is still starting after a minute needs a person
const TRIES = 3;
const LONGEST_PAUSE = 10; // seconds; who is to come back later than that is told so

/**
 * What went wrong, in words that say what to do next. `status` is HTTP's, 0 when there was no answer; `pause` is after how many
 * seconds the server wants to be asked again, null for what does not pass by itself.
 */
export class Problem extends Error {
  constructor(detail, status, pause = null) {
    super(detail);
    this.status = status;
    this.pause = pause;
  }
}

/** Questions go by POST, so that they stay out of the logs of whatever stands in between. `more` is the rest of the request. */
export function ask(question, more, signal) {
  const body = JSON.stringify({ question, ...more });
  return call("/v1/search", { method: "POST", headers: { "Content-Type": "application/json" }, body, signal });
}

export function getDocument(id) {
  return call(`/v1/documents/${encodeURIComponent(id)}`);
}

export function getPassage(id) {
  return call(`/v1/passages/${encodeURIComponent(id)}`);
}

export function getSimilar(id, limit) {
  return call(`/v1/passages/${encodeURIComponent(id)}/similar?limit=${limit}`);
}

/** What `request` gives; while the service starts or is busy, `waiting` is told why and the request is made again. */
export async function whenReady(request, waiting, signal) {
  for (let tried = 1; ; tried++) {
    try {
      return await request();
    } catch (problem) {
      const passes = (problem.pause ?? Infinity) <= LONGEST_PAUSE;
      if (signal?.aborted || !passes || tried === TRIES) throw problem;
      waiting(problem.message);
      await paused(problem.pause);
      await whenStarted(signal);
    }
  }
}

/**
 * The status once the service has started, or after a minute. Also a starting service gives its status: questions that
 * are refused every second would fill the console. `starting` is called while it is not there yet.
 */
export async function whenStarted(signal, starting = () => {}) {
  for (let second = 0; ; second++) {
    const status = await call("/v1/status", { signal });
    if (status.state !== "starting" || second >= WAIT_SECONDS) return status;
    starting();
    await paused(1);
  }
}

function paused(seconds) {
  return new Promise((resolve) => setTimeout(resolve, 1000 * seconds));
}

/** What the server answers, parsed; null where it answers without a body. Throws `Problem`. */
export async function call(path, options, isSecond = false) {
  const response = await fetch(path, options).catch(unreachable);
  if (response.status === 401 && !isSecond && (await gainSession())) return call(path, options, true);
  if (response.status === 401) throw new Problem("this collection needs a key; ask again to enter it", 401);
  if (response.status === 204) return null;
  const body = await response.json().catch(() => null);
  if (response.ok && body !== null) return body;
  const pause = response.headers.get("Retry-After");
  const detail = body?.detail ?? `the server answered ${response.status}; its log may say why`;
  throw new Problem(detail, response.status, pause && Number(pause));
}

function unreachable(error) {
  if (error.name === "AbortError") throw error;
  throw new Problem("the server cannot be reached; see whether it is running, then try again", 0);
}
