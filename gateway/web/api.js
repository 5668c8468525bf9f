/** The gateway's interface, typed. Everything that fails raises Failure with the gateway's own problem. */

/**
 * @typedef {[number, number]} Corner
 * @typedef {{text: string, confidence: number, x_start: number, x_end: number, alternatives: [string, number][]}} Character
 * @typedef {{text: string, confidence: number, polygon: Corner[], characters?: Character[], raw_text?: string}} Line
 * @typedef {{name: string, value: string, line: number, polygon: Corner[]}} Field
 * @typedef {{text: string, lines: number[]}} Paragraph
 * @typedef {{key: string, value: string, key_line: number, value_line: number}} KeyValue
 * @typedef {{row: number, column: number, row_span: number, column_span: number, text: string, lines: number[]}} Cell
 * @typedef {{rows: number, columns: number, is_ruled: boolean, cells: Cell[], polygon: Corner[]}} Table
 * @typedef {{paragraphs: Paragraph[], key_values: KeyValue[], tables: Table[]}} Structure
 * @typedef {{success: true, text: Line[], processing_time: number, width: number, height: number, model?: string,
 *   structure?: Structure, fields?: Field[], applied_steps?: {step: string, amount: number}[], page?: number, page_count?: number,
 *   source?: string}} Page
 * @typedef {{type: string, title: string, status: number, detail: string, reason: string, field?: string,
 *   retry_after_s?: number}} Problem
 * @typedef {{success: false, error: Problem, page?: number, page_count?: number}} FailedPage
 * @typedef {{id: string, state: "running"|"done"|"failed"|"cancelled", pages_done: number, pages_selected: number,
 *   error?: Problem}} Job
 * @typedef {{id: number, text: string, confidence: number, polygon: Corner[], is_stable: boolean, is_seen: boolean}} StableLine
 * @typedef {{frame: number, state: "read"|"unchanged"|"dropped", stable: StableLine[], lines: Line[], width: number,
 *   height: number, milliseconds: number, rate: number}} LiveAnswer
 * @typedef {Record<string, string|number|boolean>} Options
 */

/** A problem of the gateway, or NETWORK when it does not answer. */
export class Failure extends Error {
  /** @param {Problem} problem */
  constructor(problem) {
    super(problem.detail);
    this.problem = problem;
  }
}

/** @param {string} detail @returns {Failure} */
function unreachable(detail) {
  return new Failure({ type: "about:blank", title: "", status: 0, detail, reason: "NETWORK" });
}

/** @returns {Record<string, string>} */
function authorization() {
  const token = sessionStorage.getItem("token");
  return token ? { authorization: `Bearer ${token}` } : {};
}

/** @param {string} path @param {RequestInit} [init] @returns {Promise<Response>} */
async function call(path, init = {}) {
  let response;
  try {
    response = await fetch(path, { ...init, headers: authorization() });
  } catch (error) {
    if (init.signal?.aborted) throw error;
    throw unreachable(String(error));
  }
  if (!response.ok) throw new Failure(await problemOf(response));
  return response;
}

/** @param {Response} response @returns {Promise<Problem>} */
async function problemOf(response) {
  const text = await response.text();
  try {
    return JSON.parse(text);
  } catch {
    return { type: "about:blank", title: "", status: response.status, detail: text, reason: "OTHER" };
  }
}

/** @param {Blob} file @param {string} name @param {Options} options @returns {FormData} */
function form(file, name, options) {
  const data = new FormData();
  for (const [key, value] of Object.entries(options)) data.append(key, String(value));
  data.append("file", file, name);
  return data;
}

/**
 * Post a file. XMLHttpRequest, as fetch does not tell how much has been sent.
 * @param {string} path @param {File} file @param {Options} options @param {(share: number) => void} onSent
 * @param {AbortSignal} signal @returns {Promise<any>}
 */
function upload(path, file, options, onSent, signal) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("POST", path);
    for (const [name, value] of Object.entries(authorization())) request.setRequestHeader(name, value);
    request.upload.onprogress = (event) => event.lengthComputable && onSent(event.loaded / event.total);
    request.onerror = () => reject(unreachable("no answer"));
    request.onabort = () => reject(new DOMException("aborted", "AbortError"));
    request.onload = async () => {
      if (request.status < 300 && request.status) resolve(JSON.parse(request.responseText));
      else reject(new Failure(await problemOf(new Response(request.responseText, { status: request.status || 500 }))));
    };
    signal.addEventListener("abort", () => request.abort());
    request.send(form(file, file.name, options));
  });
}

/**
 * Read one image.
 * @param {File} file @param {Options} options @param {(share: number) => void} onSent @param {AbortSignal} signal
 * @returns {Promise<Page>}
 */
export function readImage(file, options, onSent, signal) {
  return upload("/api/ocr", file, options, onSent, signal);
}

/**
 * Read a document in the background of the gateway. Aborting the signal cancels the job.
 * @param {File} file @param {Options} options
 * @param {{onSent: (share: number) => void, onPage: (page: Page|FailedPage, job: Job) => void}} listeners
 * @param {AbortSignal} signal @returns {Promise<Job>}
 */
export async function readDocument(file, options, { onSent, onPage }, signal) {
  /** @type {Job} */
  let job = await upload("/api/jobs", file, options, onSent, signal);
  signal.addEventListener("abort", () => forgetJob(job.id));
  const events = await call(`/api/jobs/${job.id}/events`, { signal });
  for await (const { name, data } of serverSent(events)) {
    job = { ...job, ...data };
    if (name === "page") onPage(data, job);
  }
  if (job.error) throw new Failure(job.error);
  return job;
}

/** The gateway gives back what it keeps of a document. @param {string} job */
export function forgetJob(job) {
  void call(`/api/jobs/${job}`, { method: "DELETE" }).catch(() => undefined);
}

/** A page of a document as a picture. @param {string} job @param {number} page @returns {Promise<Blob>} */
export async function pagePicture(job, page) {
  return (await call(`/api/jobs/${job}/pages/${page}/picture`)).blob();
}

/** What was read of a document, in another format. @param {string} job @param {string} format @returns {Promise<Blob>} */
export async function jobResult(job, format) {
  return (await call(`/api/jobs/${job}/result?format=${format}`)).blob();
}

/** @param {Response} response @returns {AsyncGenerator<{name: string, data: any}>} */
async function* serverSent(response) {
  const reader = /** @type {ReadableStream<BufferSource>} */ (response.body).pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const events = (rest + value).split("\n\n");
    rest = events.pop() ?? "";
    for (const event of events) {
      const fields = Object.fromEntries(event.split("\n").map((row) => row.split(/: (.*)/s, 2)));
      yield { name: fields.event, data: JSON.parse(fields.data) };
    }
  }
}

/** A file in another format, as the gateway writes it. @param {File} file @param {Options} options @returns {Promise<Blob>} */
export async function converted(file, options) {
  return (await call("/api/ocr", { method: "POST", body: form(file, file.name, options) })).blob();
}

/** @returns {Promise<{name: string, version: string, is_default: boolean}[]>} */
export async function models() {
  return (await call("/api/models")).json();
}

/** @returns {Promise<string[]>} The formats that the gateway can answer in. */
export async function formats() {
  const described = await (await call("/api/openapi.json")).json();
  const body = described.paths["/api/ocr"].post.requestBody.content["multipart/form-data"];
  return body.schema.properties.format.enum;
}

/**
 * A live stream. Frames that are sent while `canSend()` is false would only wait.
 * @param {{options: Options, stable_frames: number}} config @param {(answer: LiveAnswer) => void} onAnswer
 * @param {(failure: Failure) => void} onEnd
 */
export function openLive(config, onAnswer, onEnd) {
  const token = sessionStorage.getItem("token");
  const scheme = location.protocol === "https:" ? "wss" : "ws";
  const socket = new WebSocket(`${scheme}://${location.host}/api/live`, token ? [`bearer.${token}`] : []);
  let waiting = 0;
  let ended = false;
  /** @param {Failure} failure */
  const end = (failure) => {
    if (ended) return;
    ended = true;
    onEnd(failure);
  };
  socket.onopen = () => socket.send(JSON.stringify(config));
  socket.onmessage = (event) => {
    const answer = JSON.parse(event.data);
    waiting -= 1;
    if (answer.reason && !answer.state) end(new Failure(answer));
    else onAnswer(answer);
  };
  socket.onclose = () => end(unreachable("the connection was closed"));
  return {
    /** @param {Blob} frame */
    send(frame) {
      waiting += 1;
      socket.send(frame);
    },
    canSend: () => socket.readyState === WebSocket.OPEN && waiting < 2,
    close() {
      ended = true;
      socket.close();
    },
  };
}
