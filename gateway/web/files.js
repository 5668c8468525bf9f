/** Files: taken in, read one after the other, listed. */

import { Failure, forgetJob, readDocument, readImage } from "./api.js";
import { announce, byId, clearNotice, make, notify } from "./dom.js";
import { explained, problemOf } from "./problems.js";
import { drawPager, hideReading, redrawReading, showReading, shownReading } from "./results.js";
import { readingOptions } from "./settings.js";
import { texts } from "./texts.js";

/** @typedef {import("./api.js").Page} Page */

const AT_ONCE = 2;
const DOCUMENTS = /\.(pdf|tiff?|heic|heif)$/i;
/** Files that browsers cannot show, or that have pages: pictures of these come from the gateway. */
const DOCUMENT_TYPES = ["application/pdf", "image/tiff", "image/heic", "image/heif"];

/** One file, from when it is dropped until it is removed. */
class Entry {
  /** @param {File} file */
  constructor(file) {
    this.file = file;
    this.isDocument = DOCUMENTS.test(file.name) || DOCUMENT_TYPES.includes(file.type);
    this.picture = this.isDocument ? null : URL.createObjectURL(file);
    this.options = readingOptions(this);
    /** @type {"waiting"|"reading"|"done"|"failed"|"cancelled"} */
    this.state = "waiting";
    this.note = "";
    /** How much has been sent or read, in [0, 1]; null while nobody knows. @type {number|null} */
    this.share = null;
    /** @type {{page: Page, readings: string[]}[]} */
    this.pages = [];
    /** Of a document, in the gateway. @type {string|null} */
    this.job = null;
    this.aborter = new AbortController();
  }
}

/** @type {Entry[]} */
const entries = [];

/** Everything about files. */
export function setUpFiles() {
  const input = /** @type {HTMLInputElement} */ (byId("input"));
  const shot = /** @type {HTMLInputElement} */ (byId("shot"));
  byId("choose").addEventListener("click", () => input.click());
  byId("snap").addEventListener("click", () => shot.click());
  for (const field of [input, shot]) {
    field.addEventListener("change", () => {
      take([...(field.files ?? [])]);
      field.value = "";
    });
  }
  setUpDrop();
  document.addEventListener("paste", (event) => take([...(event.clipboardData?.files ?? [])]));
}

/** The texts are in another language now. */
export function redrawFiles() {
  drawQueue();
  redrawReading();
}

function setUpDrop() {
  const drop = byId("drop");
  document.addEventListener("dragover", (event) => {
    event.preventDefault();
    drop.classList.add("over");
  });
  document.addEventListener("dragleave", (event) => event.relatedTarget === null && drop.classList.remove("over"));
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    drop.classList.remove("over");
    take([...(event.dataTransfer?.files ?? [])]);
  });
}

/** Read them as soon as there is room. @param {File[]} files */
export function take(files) {
  if (!files.length) return;
  clearNotice();
  entries.push(...files.map((file) => new Entry(file)));
  byId("drop").classList.add("small");
  drawQueue();
  readNext();
}

function readNext() {
  const busy = entries.filter((entry) => entry.state === "reading").length;
  for (const entry of entries.filter((each) => each.state === "waiting").slice(0, AT_ONCE - busy)) void read(entry);
}

/** @param {Entry} entry */
async function read(entry) {
  entry.state = "reading";
  note(entry, texts().reading, null);
  const started = performance.now();
  try {
    await (entry.isDocument ? readPages(entry) : readPicture(entry));
    entry.state = "done";
    const lines = entry.pages.reduce((sum, { page }) => sum + page.text.length, 0);
    entry.note = texts().done(lines, (performance.now() - started) / 1000);
    announce(texts().finished(entry.file.name, lines));
  } catch (error) {
    entry.state = entry.aborter.signal.aborted ? "cancelled" : "failed";
    entry.note = entry.state === "cancelled" ? texts().cancelled : explained(problemOf(error));
    if (entry.state === "failed") announce(`${entry.file.name}: ${entry.note}`);
    if (!(error instanceof Failure) && entry.state === "failed") console.error(error);
  }
  drawQueue();
  readNext();
}

/** @param {Entry} entry @param {string} text @param {number|null} share */
function note(entry, text, share) {
  entry.note = text;
  entry.share = share;
  drawQueue();
}

/** @param {Entry} entry @returns {(share: number) => void} */
function onSent(entry) {
  return (share) => (share < 1 ? note(entry, texts().uploading(share), share) : note(entry, texts().reading, null));
}

/** @param {Entry} entry */
async function readPicture(entry) {
  addPage(entry, await readImage(entry.file, entry.options, onSent(entry), entry.aborter.signal));
}

/** @param {Entry} entry */
async function readPages(entry) {
  /** @param {Page|import("./api.js").FailedPage} page @param {import("./api.js").Job} job */
  const onPage = (page, job) => {
    entry.job = job.id;
    if (page.success) addPage(entry, page);
    else notify(`${entry.file.name}, ${texts().page(page.page ?? 1, page.page_count ?? 1)}: ${explained(page.error)}`);
    note(entry, texts().pagesRead(job.pages_done, job.pages_selected), job.pages_done / job.pages_selected);
  };
  await readDocument(entry.file, entry.options, { onSent: onSent(entry), onPage }, entry.aborter.signal);
}

/** @param {Entry} entry @param {Page} page */
function addPage(entry, page) {
  entry.pages.push({ page, readings: page.text.map((line) => line.text) });
  if (!shownReading()) show(entry);
  else if (shownReading() === entry) drawPager();
}

/** @param {Entry} entry */
function show(entry) {
  showReading(entry, 0);
  drawQueue();
}

/** Whoever is at a button stays there. */
function drawQueue() {
  const queue = byId("queue");
  const buttons = () => /** @type {HTMLElement[]} */ ([...queue.querySelectorAll("button")]);
  const at = buttons().findIndex((button) => button === document.activeElement);
  queue.replaceChildren(...entries.map(row));
  if (at >= 0) (buttons()[at] ?? byId("choose")).focus();
}

/** @param {Entry} entry @returns {HTMLElement} */
function row(entry) {
  const isShown = entry === shownReading();
  const open = make("button", { type: "button", class: "name", ...(isShown ? { "aria-current": "true" } : {}) }, entry.file.name);
  open.disabled = !entry.pages.length;
  open.addEventListener("click", () => show(entry));
  const isRunning = entry.state === "reading" || entry.state === "waiting";
  const said = make("span", { class: "note" }, entry.state === "waiting" ? texts().waiting : entry.note);
  const again = sign("↻", texts().again, entry, () => reread(entry));
  again.hidden = isRunning;
  const away = isRunning
    ? sign("×", texts().cancel, entry, () => cancel(entry))
    : sign("×", texts().remove, entry, () => remove(entry));
  return make("li", { class: entry.state }, open, said, ...progress(entry), again, away);
}

/** @param {Entry} entry @returns {HTMLElement[]} */
function progress(entry) {
  if (entry.state !== "reading") return [];
  const bar = make("progress", { max: "1", "aria-label": entry.file.name });
  if (entry.share !== null) bar.value = entry.share;
  return [bar];
}

/** @param {string} text @param {string} label @param {Entry} entry @param {() => void} onClick @returns {HTMLElement} */
function sign(text, label, entry, onClick) {
  const button = make("button", { type: "button", class: "quiet", "aria-label": `${label}: ${entry.file.name}`, title: label }, text);
  button.addEventListener("click", onClick);
  return button;
}

/** @param {Entry} entry */
function cancel(entry) {
  entry.aborter.abort();
  if (entry.state === "waiting") {
    entry.state = "cancelled";
    entry.note = texts().cancelled;
  }
  drawQueue();
}

/** With the settings of now. @param {Entry} entry */
function reread(entry) {
  entries[entries.indexOf(entry)] = new Entry(entry.file);
  forget(entry);
  readNext();
}

/** @param {Entry} entry */
function remove(entry) {
  entries.splice(entries.indexOf(entry), 1);
  forget(entry);
}

/** @param {Entry} entry */
function forget(entry) {
  if (entry.picture) URL.revokeObjectURL(entry.picture);
  if (entry.job) forgetJob(entry.job);
  if (entry === shownReading()) {
    hideReading();
    const next = entries.find((each) => each.pages.length);
    if (next) showReading(next, 0);
  }
  drawQueue();
}
