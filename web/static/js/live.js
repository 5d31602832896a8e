/*
 * data-live="tasks projects": a region of the page that shows these collections. When one of them
 * changes, be it by another window, another person or a program, the page is asked for again, and
 * its regions that show the collection are taken from the answer.
 *
 * data-feed: the page's address of the change feed; data-since, how far the page has seen; data-said,
 * what is said politely when something has changed. A page that nobody looks at does not listen; when
 * it is looked at again, it is told what it missed. Of several windows one listens for all, because
 * each listener keeps a thread of the server.
 */

import { announce } from "./announce.js";

const TOGETHER = 400; // ms: changes that come together are one look at the page
const BETWEEN = 2_000; // ms, at least, between two looks
const SETTLED = 1_000; // ms a page has stood before it listens: whoever left the page before has gone then
const AGAIN = [1_000, 30_000]; // ms, until the feed is asked again: after it refused once, and at most
const GIVEN_UP = 4; // refusals, after which perhaps what is asked for is not kept any more
const NOTHING = "#nothing"; // or else the messages would be taken, too, and they are not ours to end
const OWN = 2_000; // ms after something done here: what is told then is not said aloud

const person = document.body.dataset.person ?? "";
const windows = new BroadcastChannel(`neuralflow-changes-${person}`);
const stale = new Set(); // collections that changed since the last look
let since = null; // the number of the last change that is known here, once it listens
let feed = null; // the stream, where this window is the one that listens
let waiting = null; // ends the wait for the turn to listen
let timer = 0;
let looked = 0;
let did = 0;
let refused = 0;

const root = () => document.querySelector("[data-feed]");
const regions = () => [...document.querySelectorAll("[data-live]")];
const every = () => regions().flatMap((region) => region.dataset.live.split(" "));

function told(number, collections) {
  if (Number(number) <= Number(since)) return;
  since = number;
  collections.forEach((name) => stale.add(name));
  lookSoon();
}

function lookSoon() {
  clearTimeout(timer);
  timer = setTimeout(look, Math.max(TOGETHER, looked + BETWEEN - Date.now()));
}

/* Somebody who types in a region is not disturbed: it is looked at when they leave it. */
function isTypedIn(region) {
  return region.contains(document.activeElement) && document.activeElement.matches("input, select, textarea");
}

async function look() {
  const names = [...stale];
  const found = regions().filter((region) => region.dataset.live.split(" ").some((name) => names.includes(name)));
  if (found.some(isTypedIn)) return lookSoon();
  stale.clear();
  looked = Date.now();
  if (!found.length) return;
  const [first, ...rest] = found.map((region) => `#${region.id}`);
  const opened = [...document.querySelectorAll("[data-live] details[id][open]")].map(({ id }) => id);
  await htmx.ajax("GET", location.pathname + location.search, {
    target: first,
    select: first,
    swap: "outerHTML show:none",
    selectOOB: rest.join(",") || NOTHING,
  });
  opened.forEach((id) => document.getElementById(id)?.setAttribute("open", ""));
  if (Date.now() - did > OWN) announce(root()?.dataset.said ?? "");
}

function listen() {
  const address = new URL(root().dataset.feed, location);
  if (since) address.searchParams.set("since", since);
  feed = new EventSource(address);
  feed.onmessage = ({ data, lastEventId }) => {
    const collections = [...new Set(JSON.parse(data).changes.map(({ collection }) => collection))];
    windows.postMessage({ number: lastEventId, collections });
    told(lastEventId, collections);
  };
  feed.onopen = () => (refused = 0);
  feed.onerror = () => {
    if (feed?.readyState !== EventSource.CLOSED) return; // it comes back by itself
    stop();
    refused += 1;
    setTimeout(start, Math.min(AGAIN[0] * 2 ** (refused - 1), AGAIN[1]));
    if (refused < GIVEN_UP) return;
    since = ""; // from now on
    every().forEach((name) => stale.add(name));
    lookSoon();
  };
}

function start() {
  if (!root() || waiting || document.hidden) return;
  since ??= root().dataset.since;
  waiting = new AbortController();
  const { signal } = waiting;
  if (!navigator.locks) return listen(); // without TLS, each window listens for itself
  navigator.locks
    .request(`neuralflow-feed-${person}`, { signal }, () => {
      if (signal.aborted) return undefined;
      listen();
      return new Promise((done) => signal.addEventListener("abort", done));
    })
    .catch(() => {}); // the wait was ended
}

function stop() {
  feed?.close();
  waiting?.abort();
  feed = waiting = null;
}

windows.onmessage = ({ data }) => told(data.number, data.collections);
document.addEventListener("visibilitychange", () => (document.hidden ? stop() : start()));
document.addEventListener("htmx:beforeRequest", ({ detail }) => {
  if (detail.requestConfig.verb !== "get") did = Date.now();
});
addEventListener("pagehide", stop);
addEventListener("pageshow", () => setTimeout(start, SETTLED));
