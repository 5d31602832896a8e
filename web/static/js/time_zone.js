/*
 * Tells the server in which time zone the browser is, by a cookie (`timezone=Europe/Madrid`), so that
 * times are shown in it where the person chose none. It holds for the next page on. Over TLS its name
 * begins with `__Host-`: no other host of the domain can set it then.
 */

const { timeZone } = Intl.DateTimeFormat().resolvedOptions();

const overTls = location.protocol === "https:";
const cookie = `${overTls ? "__Host-" : ""}timezone=${timeZone}`;

if (timeZone && !document.cookie.split("; ").includes(cookie)) {
  document.cookie = `${cookie}; path=/; max-age=31536000; samesite=lax${overTls ? "; secure" : ""}`;
}
