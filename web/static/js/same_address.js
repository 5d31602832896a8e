/*
 * What is put into the page by a link with `hx-push-url="false"` leaves the address of the page as it
 * is, so that loading it anew shows this page, and "back" leads to the one before. (htmx 2.0 takes the
 * attribute for unset on links with `hx-boost`, and would show the address of the part.)
 */

document.addEventListener("htmx:beforeHistoryUpdate", ({ detail }) => {
  if (!detail.requestConfig.elt.closest('[hx-push-url="false"]')) return;
  Object.assign(detail.history, { type: "replace", path: location.pathname + location.search });
});
