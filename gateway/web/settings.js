/** How files are read: kept in the browser, changed in a dialog. */

import { models } from "./api.js";
import { byId, make } from "./dom.js";
import { texts } from "./texts.js";

/** @typedef {import("./api.js").Options} Options */

const KEY = "settings";
const DEFAULTS = { mode: "page", decoder: "prefix_beam", doubt: "80" };
const OF_DOCUMENTS = ["pages", "dpi"];
const ALTERNATIVES = 4;

/** @returns {Record<string, string>} */
function kept() {
  return { ...DEFAULTS, ...JSON.parse(localStorage.getItem(KEY) ?? "{}") };
}

/** Characters that are less sure are marked. @returns {number} */
export function doubtBelow() {
  return Number(kept().doubt) / 100;
}

/** What the gateway is asked, besides the file. @param {{isDocument: boolean}} file @returns {Options} */
export function readingOptions({ isDocument }) {
  const { doubt, ...chosen } = kept();
  /** @type {Options} */
  const options = { characters: true };
  for (const [name, value] of Object.entries(chosen)) {
    if (value && (isDocument || !OF_DOCUMENTS.includes(name))) options[name] = value;
  }
  if (options.decoder === "prefix_beam") options.character_alternatives = ALTERNATIVES;
  else delete options.beam_width;
  if (options.pattern) options.decoder = "prefix_beam";
  return options;
}

/** The dialog, filled when it opens. */
export function setUpSettings() {
  const dialog = /** @type {HTMLDialogElement} */ (byId("settings"));
  const form = /** @type {HTMLFormElement} */ (dialog.querySelector("form"));
  byId("open-settings").addEventListener("click", () => {
    void fillModels(/** @type {HTMLSelectElement} */ (form.elements.namedItem("model")));
    for (const [name, value] of Object.entries({ ...kept(), token: sessionStorage.getItem("token") ?? "" })) {
      const field = /** @type {HTMLInputElement|null} */ (form.elements.namedItem(name));
      if (field) field.value = value;
    }
    dialog.showModal();
  });
  dialog.addEventListener("close", () => {
    if (dialog.returnValue !== "save") return;
    const { token, ...chosen } = Object.fromEntries([...new FormData(form)].map(([name, value]) => [name, String(value)]));
    localStorage.setItem(KEY, JSON.stringify(chosen));
    sessionStorage.setItem("token", token.trim());
    dialog.dispatchEvent(new CustomEvent("saved"));
  });
}

/** @param {HTMLSelectElement} select */
async function fillModels(select) {
  const known = await models().catch(() => []);
  const names = known.map(({ name, version }) => `${name}/${version}`);
  select.replaceChildren(
    make("option", { value: "" }, texts().defaultModel),
    ...names.map((name) => make("option", { value: name }, name)),
  );
  select.value = kept().model ?? "";
}
