// Times are in UTC without script, since the server does not know the zone of the user. Their language
// is that of the page, whatever the browser's is: "29 Nov 2026, 11:35" unless it is American English.
const language = navigator.language.startsWith(document.documentElement.lang) ? navigator.language : "en-GB";
const { timeZone } = new Intl.DateTimeFormat().resolvedOptions();
function showLocalTimes() {
  for (const time of document.querySelectorAll("time[data-date]")) {
    const { date, clock, zone } = time.dataset;
    time.title = time.textContent;
    time.textContent = new Date(time.dateTime).toLocaleString(language, { dateStyle: date, timeStyle: clock, timeZone: zone });
  }
  const words = document.querySelector("[data-zone-words]");
  if (words) words.textContent = `Times are in your time zone, ${timeZone}.`;
}
document.addEventListener("page-shown", showLocalTimes);
showLocalTimes();
