// Sends a users file, to check it and to create its users or to update the accounts, and watches the run.
//
// The server renders all words and tables; this module puts the pages that it answers into this one,
// so that the chosen file stays here. It continues by itself if the server was started again.

const LARGEST_FILE = 64 * 1024 * 1024; // octets
const SERVER_HEADER = "musterroll-api"; // of each response of the server; those of proxies lack it
const SLOW_MILLISECONDS = 3000;
const POLL_MILLISECONDS = 1000;
const ANNOUNCEMENT_MILLISECONDS = 5000; // a screen reader needs time to read what it announces
const SIGNED_OUT = "You are not signed in any more. Sign in in another tab, then try again: this page still has the file.";
const SIGNED_OUT_OF_RUN = "You are not signed in any more. Sign in to see how the run ended: if it stopped, choose the same file again.";
const TOO_BUSY = "The server works on other files. Try again in a moment.";
const NO_OWNER = "You are no longer an owner, so your run was stopped. Another owner can choose the same file.";

let chosenFile = null;
let sentFields = []; // those of the last form besides the file: a run continues with them
let isSending = false;

const main = document.getElementById("main");
const find = (selector) => main.querySelector(selector);
const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

// Shows what happens to the file, and says it once; without words nothing happens.
function say(words) {
  const box = find("[data-sending]");
  if (!box) return;
  box.hidden = !words;
  showSending(words);
  find("[data-live]").textContent = words;
}

// Shows it beside the button that was pressed, which may be far above the form.
function showSendingAt(form, button) {
  if (button && !form.contains(button)) (button.closest(".actions, p") ?? button).after(find("[data-sending]"));
}

// Shows how much of the file is sent; a bar without a number moves.
function showSending(words, percent) {
  find("[data-sending-words]").textContent = percent === undefined ? words : `${words} ${percent} %`;
  const bar = find("[data-sending] progress");
  if (percent === undefined) bar.removeAttribute("value");
  else bar.value = percent;
}

// While a file is worked on, no button begins another run. A disabled one would lose the focus.
function setButtonsInactive(inactive) {
  for (const button of main.querySelectorAll("form[data-upload] button, button[form=upload]")) button.ariaDisabled = inactive;
}

// Shows what was confirmed in place of the page that asked, until the server answers.
function showDoing(words) {
  const section = document.createElement("section");
  const heading = document.createElement("h2");
  section.className = "doing";
  heading.tabIndex = -1;
  heading.textContent = words;
  section.append(heading, find("[data-sending]"));
  find("h1").after(section);
  main.classList.add("leaving");
  heading.focus();
}

function endDoing() {
  main.classList.remove("leaving");
  const section = find(".doing");
  if (!section) return;
  find("form[data-upload]").append(find("[data-sending]"));
  section.remove();
}

function refuse(words) {
  endDoing();
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
async function show(response) {
  const page = new DOMParser().parseFromString(await response.text(), "text/html");
  document.title = page.title;
  // Chromium complains of it on a page that has a focus already.
  for (const element of page.querySelectorAll("[autofocus]")) element.removeAttribute("autofocus");
  main.classList.remove("leaving");
  main.replaceChildren(...page.getElementById("main").childNodes);
  if (new URL(response.url).pathname.match(/\/(bat|syn)_[^/]+$/)) history.replaceState(null, "", response.url);
  bind();
  document.dispatchEvent(new Event("page-shown"));
  (find(".message.problem") ?? find("[data-focus]") ?? main).focus();
}

async function save(response) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(await response.blob());
  link.download = response.headers.get("content-disposition").match(/filename="([^"]+)"/)[1];
  link.click();
  URL.revokeObjectURL(link.href);
}

async function isReadable(file) {
  try {
    await file.slice(0, 1).arrayBuffer();
    return true;
  } catch {
    return false;
  }
}

// Sends the file and the fields, and shows what the server answers.
async function send(path, doing) {
  const body = new FormData();
  for (const [name, value] of sentFields) body.append(name, value);
  // Of a file itself, browsers send the present content, also if it changed after it was checked.
  body.append("file", chosenFile.slice(), chosenFile.name);
  isSending = true;
  setButtonsInactive(true);
  if (doing) showDoing(doing);
  say(`Sending ${chosenFile.name}…`);
  let slow;
  const noteStep = (words, percent) => {
    if (words) showSending(words, percent);
    clearTimeout(slow);
    slow = setTimeout(
      () => say(`The server reads ${chosenFile.name}. If it works on other large files, it waits up to 30 seconds…`),
      SLOW_MILLISECONDS,
    );
  };
  noteStep();
  const [, key] = sentFields.find(([name]) => ["key", "form_key"].includes(name)) ?? [];
  try {
    const watching = { key, ends: false };
    const answer = await post(path, body, noteStep, () => watchReading(watching, noteStep)).finally(() => {
      watching.ends = true;
    });
    await showAnswer(answer);
  } catch {
    if (await isReadable(chosenFile)) refuse(await whyNotSent());
    else {
      refuse(`${chosenFile.name} changed since you chose it. Choose it again.`);
      chosenFile = null;
      find("#file").value = "";
    }
  } finally {
    clearTimeout(slow);
    endDoing();
    isSending = false;
    setButtonsInactive(false);
  }
}

// Posts a form as `fetch` does, and notes how much of it is sent.
function post(path, body, noteStep, noteSent) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("POST", path);
    request.setRequestHeader("Accept", "text/html");
    request.responseType = "blob";
    request.upload.addEventListener("progress", ({ loaded, total }) => {
      if (loaded < total) noteStep(`Sending ${chosenFile.name}:`, Math.floor((100 * loaded) / total));
    });
    request.upload.addEventListener("load", () => {
      noteStep(`The server reads ${chosenFile.name}…`);
      noteSent();
    });
    request.addEventListener("error", () => reject(new Error("no connection")));
    request.addEventListener("load", () => {
      const headers = new Headers();
      for (const line of request.getAllResponseHeaders().trim().split("\r\n")) {
        const at = line.indexOf(": ");
        headers.append(line.slice(0, at), line.slice(at + 2));
      }
      const response = new Response(request.response, { status: request.status, headers });
      Object.defineProperty(response, "url", { value: request.responseURL });
      resolve(response);
    });
    request.send(body);
  });
}

// Asks how much of the file the server has read, until its answer is there.
async function watchReading(watching, noteStep) {
  while (watching.key) {
    await pause(POLL_MILLISECONDS);
    const response = await request(`/console/file-progress/${watching.key}`, "application/json");
    if (watching.ends || response?.redirected) return;
    // Of several server processes, only the one that reads the file knows.
    const { text, percent } = response?.ok ? await response.json() : {};
    if (watching.ends) return;
    if (text) noteStep(text, percent);
  }
}

// A server that refuses a request before it has read the file may close the connection: ask it again.
async function whyNotSent() {
  try {
    const response = await fetch(location.href, { headers: { Accept: "text/html" } });
    if (new URL(response.url).pathname === "/sign-in") return SIGNED_OUT;
    return "The server did not accept the file. It may be working on other large files. Try again in a moment; this page still has the file.";
  } catch {
    return "The file did not arrive: there is no connection. Try again; this page still has the file.";
  }
}

async function showAnswer(response) {
  const type = response.headers.get("content-type") ?? "";
  if (!response.headers.has(SERVER_HEADER)) {
    const size = response.status === 413 ? " It allows no file of this size: in nginx the setting is client_max_body_size." : "";
    refuse(`A proxy in front of the server refused the file (${response.status}).${size}`);
  } else if (new URL(response.url).pathname === "/sign-in") {
    refuse(SIGNED_OUT);
  } else if (response.headers.has("content-disposition")) {
    await save(response);
    say("");
  } else if (response.status === 429) {
    // A server that has no memory for the file has not read the form: this page keeps its fields.
    const page = new DOMParser().parseFromString(await response.text(), "text/html");
    refuse(page.querySelector(".message.problem li")?.textContent ?? TOO_BUSY);
  } else if (type.startsWith("text/html")) {
    await show(response);
  } else {
    refuse(`The server could not do this (${response.status}). Try again in a moment.`);
  }
}

function submit(event) {
  const form = event.target;
  chosenFile = form.elements.file.files[0] ?? chosenFile;
  if (!chosenFile) return; // the server says what is missing
  event.preventDefault();
  if (isSending) return;
  if (chosenFile.size > LARGEST_FILE) {
    refuse(find("[data-too-large]").dataset.tooLarge);
    return;
  }
  showSendingAt(form, event.submitter);
  sentFields = [...new FormData(form, event.submitter)].filter(([name]) => name !== "file");
  send(event.submitter?.getAttribute("formaction") ?? form.action, event.submitter?.dataset.doing);
}

// Lets a file be dropped, and keeps the file that was chosen on the page before.
function bindField(field) {
  const input = field.querySelector("input");
  field.querySelector("[data-drop-words]").hidden = false;
  if (chosenFile) {
    const transfer = new DataTransfer();
    transfer.items.add(chosenFile);
    input.files = transfer.files;
  }
  input.addEventListener("change", () => {
    chosenFile = input.files[0] ?? null;
  });
  field.addEventListener("dragover", (event) => {
    event.preventDefault();
    field.classList.add("over");
  });
  field.addEventListener("dragleave", () => field.classList.remove("over"));
  field.addEventListener("drop", (event) => {
    event.preventDefault();
    field.classList.remove("over");
    if (!event.dataTransfer.files.length) return;
    input.files = event.dataTransfer.files;
    chosenFile = input.files[0];
  });
}

// Watches an open batch until its state changes; then its page is shown anew.
async function watch(section) {
  const wasRunning = section.dataset.running === "yes";
  let lastText = "";
  let unchangedPolls = 0;
  while (section.isConnected) {
    await pause(POLL_MILLISECONDS);
    if (isSending || document.hidden) continue;
    const response = await request(section.dataset.watch, "application/json");
    if (!section.isConnected) return;
    if (response?.redirected || response?.status === 403) {
      refuse(response.redirected ? SIGNED_OUT_OF_RUN : NO_OWNER);
      return;
    }
    if (!response) section.querySelector("[data-progress-words]").textContent = "No connection to the server. Trying again…";
    if (!response?.ok) continue; // the server is starting, or busy
    const progress = await response.json();
    // Of several server processes, only the one that has the run says that it is running.
    const hasStopped = wasRunning && !progress.running && (progress.message || !progress.active);
    if (progress.state !== "open" || hasStopped) {
      const page = await request(location.href, "text/html");
      if (!page?.ok || isSending) continue;
      await show(page);
      return;
    }
    showProgress(section, progress);
    unchangedPolls = progress.text === lastText ? unchangedPolls + 1 : 0;
    lastText = progress.text;
    const isAbandoned = !progress.running && !progress.active && !progress.message;
    if (isAbandoned && section.dataset.continue && chosenFile && unchangedPolls >= 2) {
      send(section.dataset.continue);
      return;
    }
  }
}

// Returns a response; null without a connection.
const request = (address, type) => fetch(address, { headers: { Accept: type } }).catch(() => null);

function showProgress(section, progress) {
  const bar = section.querySelector("[data-bar]");
  const live = section.querySelector("[data-watch-live]");
  section.querySelector("[data-progress-words]").textContent = progress.text;
  if (progress.percent >= 0) bar.value = Math.max(bar.value, progress.percent);
  const now = performance.now();
  live.dataset.announcedAt ??= now;
  if (now - live.dataset.announcedAt > ANNOUNCEMENT_MILLISECONDS && live.textContent !== progress.text) {
    live.textContent = progress.text;
    live.dataset.announcedAt = now;
  }
}

// The second click of a double click is for the page before: it would press what is there now.
main.addEventListener("click", (event) => {
  if (event.detail > 1 && event.target.closest("a, button")) event.preventDefault();
});

function bind() {
  for (const element of main.querySelectorAll("[data-only-without-script]")) element.hidden = true;
  for (const element of main.querySelectorAll("[data-only-with-script]")) element.hidden = false;
  const form = find("form[data-upload]");
  if (form) {
    form.addEventListener("submit", submit);
    bindField(form.querySelector("[data-drop]"));
  }
  const section = find("[data-watch]");
  if (section) watch(section);
}

bind();
