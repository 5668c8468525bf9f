/** Live camera: frames to the gateway as fast as it answers, stable text back. */

import { openLive } from "./api.js";
import { byId, clearNotice, make, notify, percent } from "./dom.js";
import { explained } from "./problems.js";
import { liveOptions } from "./settings.js";
import { overlay } from "./sheet.js";
import { texts } from "./texts.js";

/** @typedef {import("./api.js").LiveAnswer} LiveAnswer */

const IDEAL_WIDTH = 1920;
/** Of live frames: a picture that is kept has all that the camera gives. */
const LONGEST_SIDE = 1280;
const QUALITY = 0.85;
const STABLE_FRAMES = 3;
const TICK_MS = 30;

/** @type {{end: () => void}|null} */
let running = null;

/** The buttons, and what they do. @param {(picture: File) => void} onPicture one that is to be read as a file */
export function setUpCamera(onPicture) {
  byId("start").addEventListener("click", () => void start());
  byId("stop").addEventListener("click", stopCamera);
  byId("keep").addEventListener("click", async () => {
    const picture = await photograph(/** @type {HTMLVideoElement} */ (byId("video")), document.createElement("canvas"), Infinity);
    if (picture) onPicture(new File([picture], `${texts().camera} ${new Date().toLocaleTimeString()}.jpg`, { type: picture.type }));
  });
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
    stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment", width: { ideal: IDEAL_WIDTH } } });
  } catch {
    notify(texts().problems.CAMERA);
    return;
  }
  video.srcObject = stream;
  await video.play();
  const live = openLive({ options: liveOptions(), stable_frames: STABLE_FRAMES }, showAnswer, (failure) => {
    notify(explained(failure.problem));
    stopCamera();
  });
  const canvas = document.createElement("canvas");
  let isBusy = false;
  const timer = setInterval(async () => {
    if (isBusy || !live.canSend()) return;
    isBusy = true;
    const frame = await photograph(video, canvas, LONGEST_SIDE);
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
  for (const name of ["stop", "keep"]) /** @type {HTMLButtonElement} */ (byId(name)).disabled = !isRunning;
  byId("rate").textContent = "";
}

/** @param {HTMLVideoElement} video @param {HTMLCanvasElement} canvas @param {number} longest side, in pixels @returns {Promise<Blob|null>} */
function photograph(video, canvas, longest) {
  const share = Math.min(1, longest / Math.max(video.videoWidth, video.videoHeight, 1));
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
