/** Live camera: frames to the gateway as fast as it answers, stable text back. */

import { openLive } from "./api.js";
import { byId, clearNotice, make, notify, percent } from "./dom.js";
import { readingOptions } from "./settings.js";
import { overlay } from "./sheet.js";
import { explained, texts } from "./texts.js";

/** @typedef {import("./api.js").LiveAnswer} LiveAnswer */

const LONGEST_SIDE = 1280;
const QUALITY = 0.85;
const STABLE_FRAMES = 3;
const TICK_MS = 30;

/** @type {{end: () => void}|null} */
let running = null;

/** The two buttons, and what they do. */
export function setUpCamera() {
  byId("start").addEventListener("click", () => void start());
  byId("stop").addEventListener("click", stopCamera);
  draw = overlay(byId("stage"));
}

/** @type {ReturnType<typeof overlay>} */
let draw;

/** Also called when the view is left. */
export function stopCamera() {
  running?.end();
}

async function start() {
  clearNotice();
  const video = /** @type {HTMLVideoElement} */ (byId("video"));
  let stream;
  try {
    stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment", width: { ideal: LONGEST_SIDE } } });
  } catch {
    notify(texts().problems.CAMERA);
    return;
  }
  video.srcObject = stream;
  await video.play();
  const { characters, character_alternatives, ...options } = readingOptions({ isDocument: false });
  const live = openLive({ options: { ...options, decoder: "best_path" }, stable_frames: STABLE_FRAMES }, showAnswer, (failure) => {
    notify(explained(failure.problem));
    stopCamera();
  });
  const canvas = document.createElement("canvas");
  let isBusy = false;
  const timer = setInterval(async () => {
    if (isBusy || !live.canSend()) return;
    isBusy = true;
    const frame = await photograph(video, canvas);
    if (frame && live.canSend()) live.send(frame);
    isBusy = false;
  }, TICK_MS);
  setButtons(true);
  running = {
    end() {
      running = null;
      clearInterval(timer);
      live.close();
      for (const track of stream.getTracks()) track.stop();
      video.srcObject = null;
      setButtons(false);
    },
  };
}

/** @param {boolean} isRunning */
function setButtons(isRunning) {
  /** @type {HTMLButtonElement} */ (byId("start")).disabled = isRunning;
  /** @type {HTMLButtonElement} */ (byId("stop")).disabled = !isRunning;
  byId("rate").textContent = "";
}

/** @param {HTMLVideoElement} video @param {HTMLCanvasElement} canvas @returns {Promise<Blob|null>} */
function photograph(video, canvas) {
  const share = Math.min(1, LONGEST_SIDE / Math.max(video.videoWidth, video.videoHeight, 1));
  canvas.width = Math.round(share * video.videoWidth);
  canvas.height = Math.round(share * video.videoHeight);
  if (!canvas.width) return Promise.resolve(null);
  canvas.getContext("2d")?.drawImage(video, 0, 0, canvas.width, canvas.height);
  return new Promise((resolve) => canvas.toBlob(resolve, "image/jpeg", QUALITY));
}

/** @param {LiveAnswer} answer */
function showAnswer(answer) {
  byId("rate").textContent = texts().rate(answer.rate);
  const seen = answer.stable.filter((line) => line.is_seen);
  draw(answer.width, answer.height, seen.map((line) => ({ polygon: line.polygon, isStable: line.is_stable })));
  const list = byId("stable");
  const rows = new Map([...list.children].map((row) => [row.getAttribute("data-track"), row]));
  list.replaceChildren(
    ...answer.stable.map((line) => {
      const row = rows.get(String(line.id)) ?? make("li", { "data-track": `${line.id}` }, make("span", { class: "text" }), make("span", { class: "sure" }));
      row.classList.toggle("stable", line.is_stable);
      const [text, sure] = row.children;
      if (text.textContent !== line.text) text.textContent = line.text;
      sure.textContent = line.is_stable ? texts().stable : percent(line.confidence);
      return row;
    }),
  );
}
