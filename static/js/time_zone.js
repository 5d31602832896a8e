/*
 * Tells the server in which time zone the browser is, by a cookie (`timezone=Europe/Madrid`), so that
 * times are shown in it where the person chose none. It holds for the next page on.
 */

const { timeZone } = Intl.DateTimeFormat().resolvedOptions();

if (timeZone && !document.cookie.split("; ").includes(`timezone=${timeZone}`)) {
  const secure = location.protocol === "https:" ? "; secure" : "";
  document.cookie = `timezone=${timeZone}; path=/; max-age=31536000; samesite=lax${secure}`;
}
