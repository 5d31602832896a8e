/*
 * Messages that float can be closed, and those of success leave after a while. Whoever points at
 * them, or has the focus among them, stops the time; what went wrong stays until it is closed.
 */

const PLAIN = 10_000; // ms to read one sentence
const WITH_BUTTON = 30_000; // ms, where there is something to press
const STAYING = ".notice-warning, .notice-error";

const region = document.getElementById("messages");
const timers = new Map();

function notices() {
  return [...region.querySelectorAll(".notice")];
}

function close(notice) {
  const hadFocus = notice.contains(document.activeElement);
  clearTimeout(timers.get(notice));
  timers.delete(notice);
  notice.remove();
  if (hadFocus) document.getElementById("main")?.focus({ preventScroll: true });
}

function start(notice) {
  if (notice.matches(STAYING) || timers.has(notice)) return;
  const time = notice.querySelector("form, a") ? WITH_BUTTON : PLAIN;
  timers.set(notice, setTimeout(() => close(notice), time));
}

function stop() {
  for (const timer of timers.values()) clearTimeout(timer);
  timers.clear();
}

function watched() {
  return document.hidden || region.matches(":hover, :focus-within");
}

function goOn() {
  if (!watched()) notices().forEach(start);
}

function dress() {
  const button = document.getElementById("close-button");
  for (const notice of notices()) {
    if (!notice.querySelector("[data-close]")) notice.append(button.content.cloneNode(true));
  }
  for (const notice of timers.keys()) if (!notice.isConnected) timers.delete(notice);
  goOn();
}

if (region) {
  new MutationObserver(dress).observe(region, { childList: true });
  region.addEventListener("pointerenter", stop);
  region.addEventListener("focusin", stop);
  region.addEventListener("pointerleave", goOn);
  region.addEventListener("focusout", () => setTimeout(goOn)); // the focus has not arrived yet
  document.addEventListener("visibilitychange", () => (document.hidden ? stop() : goOn()));
  dress();
}

document.addEventListener("click", ({ target }) => {
  const notice = target.closest("[data-close]")?.closest(".notice");
  if (notice) close(notice);
});

document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape" || event.defaultPrevented || document.querySelector("dialog[open]")) return;
  document.querySelectorAll(".toasts .notice").forEach(close);
});

// An answer without a message leaves those that stand: a filter, or a refresh, takes no undo away.
document.addEventListener("htmx:oobBeforeSwap", (event) => {
  if (event.detail.target === region && !event.detail.fragment.querySelector(".notice")) {
    event.detail.shouldSwap = false;
  }
});
