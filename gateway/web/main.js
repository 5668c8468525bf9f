/** Puts the page together. */

import { setUpCamera, stopCamera } from "./camera.js";
import { byId } from "./dom.js";
import { redrawFiles, setUpFiles, take } from "./files.js";
import { setUpResults } from "./results.js";
import { setUpSettings } from "./settings.js";
import { applyTexts, switchLanguage, texts } from "./texts.js";

const VIEWS = ["files", "camera"];

/** @param {string} view */
function openView(view) {
  for (const name of VIEWS) {
    const tab = byId(`tab-${name}`);
    byId(name).hidden = name !== view;
    tab.setAttribute("aria-selected", String(name === view));
    tab.tabIndex = name === view ? 0 : -1;
  }
  if (view !== "camera") stopCamera();
}

function setUpViews() {
  for (const name of VIEWS) {
    const tab = byId(`tab-${name}`);
    tab.addEventListener("click", () => openView(name));
    tab.addEventListener("keydown", (event) => {
      if (event.key !== "ArrowLeft" && event.key !== "ArrowRight") return;
      const other = VIEWS[(VIEWS.indexOf(name) + 1) % VIEWS.length];
      openView(other);
      byId(`tab-${other}`).focus();
    });
  }
}

function setUpTheme() {
  const root = document.documentElement;
  const kept = localStorage.getItem("theme");
  if (kept) root.dataset.theme = kept;
  byId("theme").addEventListener("click", () => {
    const isDark = (root.dataset.theme ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";
    root.dataset.theme = isDark ? "light" : "dark";
    localStorage.setItem("theme", root.dataset.theme);
  });
}

function setUpLanguage() {
  const button = byId("language");
  const name = () => {
    const isChinese = document.documentElement.lang.startsWith("zh");
    button.textContent = isChinese ? "English" : "中文";
    button.lang = isChinese ? "en" : "zh";
  };
  button.addEventListener("click", () => {
    switchLanguage();
    redrawFiles();
    name();
  });
  name();
}

setUpSettings(redrawFiles);
applyTexts();
setUpViews();
setUpTheme();
setUpLanguage();
setUpFiles();
setUpResults();
setUpCamera((picture) => {
  openView("files");
  take([picture]);
});
document.title = `Glyphwire · ${texts().files}`;
