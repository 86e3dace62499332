// Days and times are those of the zone in the address; without one they are of UTC, and with script of
// the browser, and so are the days that are looked for.
const field = document.querySelector("[data-own-zone]");
const { timeZone } = new Intl.DateTimeFormat().resolvedOptions();

function showOwnTimes() {
  for (const time of document.querySelectorAll(".days .log > li > time")) {
    time.textContent = new Date(time.dateTime).toLocaleTimeString("en-GB", { timeZone, timeStyle: time.dataset.clock });
  }
  for (const days of document.querySelectorAll(".days")) regroup(days);
  document.querySelector("[data-days-zone]").textContent = `Days and times are in ${timeZone}.`;
}

// An entry of 23:30 may be of another day here: the days are built anew from the entries.
function regroup(days) {
  const sections = new Map();
  for (const entry of days.querySelectorAll(".log > li")) {
    const at = new Date(entry.querySelector("time").dateTime);
    const day = at.toLocaleDateString("sv-SE", { timeZone }); // 2026-10-31
    if (!sections.has(day)) sections.set(day, section(days.firstElementChild, day, at));
    sections.get(day).querySelector(".log").append(entry);
  }
  days.replaceChildren(...sections.values());
}

function section(template, day, at) {
  const made = template.cloneNode(true);
  const heading = made.querySelector("h2");
  heading.id = `day-${day}`;
  made.setAttribute("aria-labelledby", heading.id);
  const time = heading.querySelector("time");
  time.dateTime = day;
  time.textContent = at.toLocaleDateString("en-GB", { timeZone, weekday: "long", day: "numeric", month: "long", year: "numeric" });
  made.querySelector(".log").replaceChildren();
  return made;
}

if (!field.value) {
  field.value = timeZone;
  showOwnTimes();
}
