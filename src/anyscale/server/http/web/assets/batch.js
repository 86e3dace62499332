// Sends a users file, to check it and to create its users, and watches a batch.
//
// The server renders all words and tables; this module puts the pages that it answers into this one,
// so that the chosen file stays here. It goes on by itself if the server was started again.

const MOST = 64 * 1024 * 1024;
const HEADER = "musterroll-api";
const POLL = 1000;
const SPEAK = 5000;
const SIGNED_OUT = "You are not signed in any more. Sign in in another tab, then try again: this page still has the file.";

let chosen = null; // the file
let watching = 0; // the number of the page that is watched
let sending = false;

const main = document.getElementById("main");
const find = (selector) => main.querySelector(selector);

function say(words) {
  const box = find("[data-sending]");
  if (!box) return;
  box.hidden = !words;
  find("[data-sending-words]").textContent = words;
  find("[data-live]").textContent = words;
}

function refuse(words) {
  say("");
  const box = document.createElement("div");
  box.className = "message problem";
  box.tabIndex = -1;
  box.setAttribute("role", "alert");
  const heading = document.createElement("h2");
  heading.textContent = "There is a problem";
  const text = document.createElement("p");
  text.textContent = words;
  box.append(heading, text);
  find(".message.problem")?.remove();
  main.prepend(box);
  box.focus();
}

// Puts a page of the server in the place of this one; the file stays chosen.
function show(page, address) {
  document.title = page.title;
  // Chromium complains of it on a page that has a focus already.
  for (const one of page.querySelectorAll("[autofocus]")) one.removeAttribute("autofocus");
  main.replaceChildren(...page.getElementById("main").childNodes);
  if (address && new URL(address).pathname.match(/\/bat_[^/]+$/)) history.replaceState(null, "", address);
  bind();
  const first = find(".message.problem") ?? find("[data-focus]");
  (first ?? main).focus();
}

async function isUnchanged(file) {
  try {
    await file.slice(0, 1).arrayBuffer();
    return true;
  } catch {
    return false;
  }
}

function addressOf(form, button) {
  const address = new URL(button?.getAttribute("formaction") ?? form.action, location.href);
  const fields = new FormData(form);
  for (const [name, value] of fields) if (name !== "file") address.searchParams.set(name, value);
  address.searchParams.set("name", chosen.name);
  if (button?.name) address.searchParams.set(button.name, button.value);
  return address;
}

async function save(response) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(await response.blob());
  link.download = "problems.txt";
  link.click();
  URL.revokeObjectURL(link.href);
}

// Sends the file, and shows what the server answers.
async function send(address) {
  sending = true;
  say(`Sending ${chosen.name}…`);
  const slow = setTimeout(() => say(`The server reads ${chosen.name}. If it works on other large files, it waits up to 30 seconds…`), 3000);
  try {
    const headers = { "Content-Type": "application/octet-stream", Accept: "text/html" };
    const response = await fetch(address, { method: "POST", body: chosen, headers });
    await answer(response);
  } catch {
    if (await isUnchanged(chosen)) refuse(await whyNotSent());
    else {
      refuse(`${chosen.name} changed since you chose it. Choose it again.`);
      chosen = null;
      find("#file").value = "";
    }
  } finally {
    clearTimeout(slow);
    sending = false;
  }
}

// A server that refuses a request before it has read the file may close the connection: ask it again.
async function whyNotSent() {
  try {
    const probe = await fetch(location.href, { headers: { Accept: "text/html" } });
    if (new URL(probe.url).pathname === "/sign-in") return SIGNED_OUT;
    return "The server did not take the file. It may be working on other large files. Try again in a moment; this page still has the file.";
  } catch {
    return "The file did not arrive: there is no connection. Try again; this page still has the file.";
  }
}

async function answer(response) {
  const path = new URL(response.url).pathname;
  if (!response.headers.has(HEADER)) {
    const size = response.status === 413 ? " It allows no file of this size: in nginx the setting is client_max_body_size." : "";
    refuse(`A proxy in front of the server refused the file (${response.status}).${size}`);
  } else if (path === "/sign-in") {
    refuse(SIGNED_OUT);
  } else if (response.headers.get("content-type").startsWith("text/plain")) {
    await save(response);
    say("");
  } else if (response.headers.get("content-type").startsWith("text/html")) {
    show(new DOMParser().parseFromString(await response.text(), "text/html"), response.url);
  } else refuse(`The server could not do this (${response.status}). Try again in a moment.`);
}

function choose(file) {
  chosen = file ?? null;
}

function submit(event) {
  const input = event.target.querySelector("#file");
  choose(input.files[0] ?? chosen);
  if (!chosen) return; // the server says what is missing
  event.preventDefault();
  if (sending) return;
  if (chosen.size > MOST) {
    refuse("The file has more than 64 MiB. Use the command for it: anyscale user batch-create -f FILE");
    return;
  }
  send(addressOf(event.target, event.submitter));
}

// Lets a file be dropped, and keeps the file that was chosen on the page before.
function bindField(form) {
  const field = form.querySelector("[data-drop]");
  const input = field.querySelector("input");
  field.querySelector("[data-drop-words]").hidden = false;
  if (chosen) {
    const kept = new DataTransfer();
    kept.items.add(chosen);
    input.files = kept.files;
  }
  input.addEventListener("change", () => choose(input.files[0]));
  field.addEventListener("dragover", (event) => {
    event.preventDefault();
    field.classList.add("over");
  });
  field.addEventListener("dragleave", () => field.classList.remove("over"));
  field.addEventListener("drop", (event) => {
    event.preventDefault();
    field.classList.remove("over");
    if (event.dataTransfer.files.length) {
      input.files = event.dataTransfer.files;
      choose(input.files[0]);
    }
  });
}

const pause = (time) => new Promise((resolve) => setTimeout(resolve, time));

// Watches an open batch until its state changes; then its page is shown anew.
async function watch(section) {
  const mine = ++watching;
  const bar = section.querySelector("[data-bar]");
  const words = section.querySelector("[data-progress-words]");
  const live = section.querySelector("[data-watch-live]");
  const wasRunning = section.dataset.running === "yes";
  let spoken = performance.now();
  let last = "";
  let still = 0;
  while (section.isConnected && mine === watching) {
    await pause(POLL);
    if (sending || document.hidden) continue;
    let response;
    try {
      response = await fetch(section.dataset.watch, { headers: { Accept: "application/json" } });
    } catch {
      words.textContent = "No connection to the server. Trying again…";
      continue;
    }
    if (!section.isConnected) return;
    if (response.redirected || response.status === 403) {
      refuse(response.status === 403
        ? "You are no owner any more. A run of yours that had not ended stopped, and another owner can go on with the same file."
        : "You are not signed in any more. Sign in to see how the run ended: if it stopped, the same file goes on.");
      return;
    }
    if (!response.ok) continue; // it is starting, or busy
    const now = await response.json();
    // Of several server processes, only the one that has the run says that it is running.
    const hasStopped = wasRunning && !now.running && (now.message || !now.active);
    if (now.state !== "open" || hasStopped) {
      const page = await fetch(location.href, { headers: { Accept: "text/html" } });
      if (page.ok && !sending) {
        show(new DOMParser().parseFromString(await page.text(), "text/html"), page.url);
        return;
      }
      continue;
    }
    words.textContent = now.text;
    if (now.percent >= 0) bar.value = Math.max(bar.value, now.percent);
    if (performance.now() - spoken > SPEAK && now.text !== last) {
      live.textContent = now.text;
      spoken = performance.now();
    }
    still = now.text === last ? still + 1 : 0;
    last = now.text;
    if (!now.running && !now.active && !now.message && chosen && still >= 2) {
      const address = new URL(section.dataset.continue, location.href);
      address.searchParams.set("name", chosen.name);
      send(address);
      return;
    }
  }
}

function bind() {
  for (const one of main.querySelectorAll("[data-only-without-script]")) one.hidden = true;
  const form = find("form[data-upload]");
  if (form) {
    form.addEventListener("submit", submit);
    bindField(form);
  }
  const section = find("[data-watch]");
  if (section) watch(section);
}

bind();
