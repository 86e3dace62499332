// Times are in UTC without script, since the server does not know the zone of the user.
function showLocalTimes() {
  for (const time of document.querySelectorAll("time[data-date]")) {
    const { date, clock, zone } = time.dataset;
    time.title = time.textContent;
    time.textContent = new Date(time.dateTime).toLocaleString([], { dateStyle: date, timeStyle: clock, timeZone: zone });
  }
}
document.addEventListener("page-shown", showLocalTimes);
showLocalTimes();
