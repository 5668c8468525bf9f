/** Everything the page says, in the languages it speaks. */

/** @param {number} lines @returns {string} */
const counted = (lines) => (lines === 1 ? "1 line" : `${lines} lines`);

const ENGLISH = {
  skip: "Skip to the text",
  views: "Views",
  files: "Files",
  camera: "Live camera",
  settings: "Settings",
  theme: "Light or dark",
  invitation: "Drop pictures or documents here, or paste them",
  choose: "Choose files",
  snap: "Take a photo",
  hint: "JPEG, PNG, WebP, TIFF, PDF. Nothing leaves your server.",
  queue: "Files",
  previous: "Previous page",
  next: "Next page",
  page: (/** @type {number} */ page, /** @type {number} */ count) => `Page ${page} of ${count}`,
  edit: "Edit",
  copy: "Copy text",
  copied: "Copied",
  format: "File format",
  save: "Save",
  lines: "Lines of text",
  line: (/** @type {number} */ line) => `Line ${line}`,
  readingViews: "How the text is shown",
  viewLines: "Lines",
  viewStructure: "Paragraphs and tables",
  comma: ", ",
  table: "Table",
  keyValues: "Names and values",
  textLayer: "text of the document",
  prepared: (/** @type {string} */ steps) => `prepared: ${steps}`,
  searchablePdf: "Searchable PDF",
  cameraHint: "Hold text in front of the camera. Lines that have stayed the same are marked as stable.",
  start: "Start camera",
  stop: "Stop",
  keep: "Read this picture",
  rate: (/** @type {number} */ rate) => `${rate.toFixed(1)} frames per second`,
  stable: "stable",
  model: "Model",
  defaultModel: "Default of the server",
  mode: "Pictures show",
  modePage: "pages, with any number of lines",
  modeLine: "one line of text each",
  decoder: "Decoder",
  decoderBeam: "Beam search, with alternatives",
  decoderBest: "Best path, fastest",
  beamWidth: "Readings kept by the beam search",
  hotWords: "Words that are likely, one per row",
  hotWordsHint: "A weight may follow: Glyphwire=5. Without one it is 3; below 0 a word becomes unlikely.",
  lexicon: "Nothing but these words, one per row",
  groupReading: "Reading",
  groupLanguage: "What is known of the text",
  groupPreparation: "Preparation of pictures",
  groupDocuments: "Documents",
  groupPage: "This page",
  structure: "Find paragraphs and tables",
  prepare: "All steps",
  prepareAuto: "where they help",
  prepareOff: "none",
  prepareSteps: "Single steps",
  stepAsAll: "as all",
  stepAuto: "where it helps",
  stepOn: "always",
  stepOff: "never",
  steps: {
    perspective: "flat sheet",
    shadow: "even light",
    contrast: "more contrast",
    local_contrast: "even contrast",
    grey: "no colour",
    denoise: "less noise",
    sharpen: "sharper",
    binarise: "black and white",
    enlarge: "larger",
    deskew: "level lines",
    orientation: "upright",
  },
  ignoreTextLayer: "Read pages that have text already",
  password: "Password of documents (kept until you close this tab)",
  doubt: "Mark characters below this confidence (%)",
  minConfidence: "Leave out lines below this confidence",
  pattern: "Pattern that every line must match",
  whitelist: "Only these characters",
  pages: "Pages of documents",
  dpi: "Resolution of documents (dpi)",
  token: "Access token (kept until you close this tab)",
  apply: "Apply",
  cancel: "Cancel",
  remove: "Remove",
  again: "Read again with the settings of now",
  waiting: "waiting",
  reading: "reading …",
  uploading: (/** @type {number} */ share) => `sending ${Math.round(100 * share)} %`,
  pagesRead: (/** @type {number} */ done, /** @type {number} */ count) => `${done} of ${count || "?"} pages`,
  cancelled: "cancelled",
  done: (/** @type {number} */ lines, /** @type {number} */ seconds) => `${counted(lines)}, ${seconds.toFixed(2)} s`,
  nothing: "No text was found.",
  doubtful: (/** @type {string} */ text, /** @type {string} */ percent) => `“${text}”, ${percent} sure. Press Enter for others.`,
  confidence: (/** @type {string} */ percent) => `${percent} sure`,
  alternatives: (/** @type {string} */ text) => `Instead of “${text}”`,
  finished: (/** @type {string} */ file, /** @type {number} */ lines) => `${file} has been read: ${counted(lines)}.`,
  blankSheet: "The page, with the places of its lines",
  picture: "The picture, with the places of its lines",
  problems: {
    NETWORK: "The gateway does not answer. Is it still running? Your files are still here: try again.",
    SERVER_UNAVAILABLE: "The OCR server behind the gateway does not answer. Try again in a moment.",
    TOKEN_INVALID: "The server wants an access token. Put it into the settings.",
    CALL_FORBIDDEN: "Your access token does not allow this.",
    CLIENT_LIMIT: "Too many requests at once. Wait a moment, then try again.",
    QUEUE_FULL: "The server has too much to do. Wait a moment, then try again.",
    DEADLINE_EXPIRED: "Reading took too long. Try again, or a smaller picture.",
    IMAGE_EMPTY: "The file is empty.",
    IMAGE_UNDECODABLE: "This is no picture that the server can open. JPEG, PNG, WebP, TIFF and PDF work.",
    IMAGE_TOO_LARGE: "The file is too large for the server.",
    IMAGE_TOO_SMALL: "The picture is too small to read.",
    DOCUMENT_UNREADABLE: "The document is damaged and cannot be opened.",
    DOCUMENT_ENCRYPTED: "The document needs a password. Put it into the settings, then read the document again.",
    DOCUMENT_TOO_LARGE: "The document has too many pages or bytes for the server.",
    PAGE_UNREADABLE: "This page is damaged.",
    OPTION_INVALID: "One of the settings cannot be used:",
    JOB_NOT_FOUND: "The gateway has forgotten the document. Read it again.",
    REQUEST_INVALID: "The gateway does not understand the request:",
    BATCH_TOO_LARGE: "These are too many files at once.",
    DRAINING: "The server is being stopped. Try again in a moment.",
    INTERNAL: "The server failed at this. Try again, and report it if it happens again.",
    MODEL_NOT_FOUND: "The server does not have this model any more. Choose another in the settings.",
    CAMERA: "The camera cannot be used. Allow it in the browser, and open this page over HTTPS or on this machine.",
    OTHER: "Something went wrong:",
  },
};

/** @typedef {typeof ENGLISH} Texts */

/** @type {Texts} */
const CHINESE = {
  skip: "跳到文字",
  views: "视图",
  files: "文件",
  camera: "实时相机",
  settings: "设置",
  theme: "浅色或深色",
  invitation: "把图片或文档拖到这里，或直接粘贴",
  choose: "选择文件",
  snap: "拍照",
  hint: "支持 JPEG、PNG、WebP、TIFF、PDF。内容不会离开您的服务器。",
  queue: "文件列表",
  previous: "上一页",
  next: "下一页",
  page: (page, count) => `第 ${page} 页，共 ${count} 页`,
  edit: "编辑",
  copy: "复制文字",
  copied: "已复制",
  format: "文件格式",
  save: "保存",
  lines: "文字行",
  line: (line) => `第 ${line} 行`,
  readingViews: "文字的显示方式",
  viewLines: "逐行",
  viewStructure: "段落与表格",
  comma: "、",
  table: "表格",
  keyValues: "名称与值",
  textLayer: "文档自带文字",
  prepared: (steps) => `预处理：${steps}`,
  searchablePdf: "可搜索的 PDF",
  cameraHint: "把文字放到相机前。保持不变的行会标为“稳定”。",
  start: "打开相机",
  stop: "停止",
  keep: "识别当前画面",
  rate: (rate) => `每秒 ${rate.toFixed(1)} 帧`,
  stable: "稳定",
  model: "模型",
  defaultModel: "服务器默认",
  mode: "图片内容",
  modePage: "整页：任意多行",
  modeLine: "单行文字",
  decoder: "解码器",
  decoderBeam: "束搜索：给出候选",
  decoderBest: "最佳路径：最快",
  beamWidth: "束搜索保留的读法数",
  hotWords: "可能出现的词，每行一个",
  hotWordsHint: "后面可加权重：发票=5。不写时为 3；小于 0 表示不太可能出现。",
  lexicon: "只允许这些词，每行一个",
  groupReading: "识别",
  groupLanguage: "已知的文字信息",
  groupPreparation: "图片预处理",
  groupDocuments: "文档",
  groupPage: "本页面",
  structure: "查找段落与表格",
  prepare: "所有步骤",
  prepareAuto: "有帮助时进行",
  prepareOff: "不进行",
  prepareSteps: "单个步骤",
  stepAsAll: "同上",
  stepAuto: "有帮助时",
  stepOn: "总是",
  stepOff: "从不",
  steps: {
    perspective: "拉平纸张",
    shadow: "去除阴影",
    contrast: "提高对比度",
    local_contrast: "均衡局部对比度",
    grey: "去除颜色",
    denoise: "降噪",
    sharpen: "锐化",
    binarise: "黑白二值化",
    enlarge: "放大小字",
    deskew: "校正倾斜",
    orientation: "转正方向",
  },
  ignoreTextLayer: "已有文字的页面也重新识别",
  password: "文档密码（关闭标签页后清除）",
  doubt: "标出置信度低于此值的字符（%）",
  minConfidence: "忽略置信度低于此值的行",
  pattern: "每行必须匹配的模式",
  whitelist: "只允许这些字符",
  pages: "文档页码",
  dpi: "文档分辨率（dpi）",
  token: "访问令牌（关闭标签页后清除）",
  apply: "应用",
  cancel: "取消",
  remove: "移除",
  again: "按当前设置重新识别",
  waiting: "等待中",
  reading: "识别中……",
  uploading: (share) => `正在发送 ${Math.round(100 * share)} %`,
  pagesRead: (done, count) => `已读 ${done} / ${count || "?"} 页`,
  cancelled: "已取消",
  done: (lines, seconds) => `${lines} 行，${seconds.toFixed(2)} 秒`,
  nothing: "没有找到文字。",
  doubtful: (text, percent) => `“${text}”，把握 ${percent}。按回车键查看候选。`,
  confidence: (percent) => `把握 ${percent}`,
  alternatives: (text) => `替换“${text}”`,
  finished: (file, lines) => `${file} 已识别：${lines} 行。`,
  blankSheet: "页面及各行的位置",
  picture: "图片及各行的位置",
  problems: {
    NETWORK: "网关没有响应。它还在运行吗？文件仍在这里，请重试。",
    SERVER_UNAVAILABLE: "网关后面的识别服务器没有响应，请稍后重试。",
    TOKEN_INVALID: "服务器需要访问令牌，请在设置中填写。",
    CALL_FORBIDDEN: "您的访问令牌没有此权限。",
    CLIENT_LIMIT: "请求过多，请稍候再试。",
    QUEUE_FULL: "服务器正忙，请稍候再试。",
    DEADLINE_EXPIRED: "识别超时。请重试，或使用更小的图片。",
    IMAGE_EMPTY: "文件是空的。",
    IMAGE_UNDECODABLE: "服务器无法打开这个文件。支持 JPEG、PNG、WebP、TIFF 和 PDF。",
    IMAGE_TOO_LARGE: "文件超过了服务器的限制。",
    IMAGE_TOO_SMALL: "图片太小，无法识别。",
    DOCUMENT_UNREADABLE: "文档已损坏，无法打开。",
    DOCUMENT_ENCRYPTED: "文档需要密码。请在设置中填写，然后重新识别。",
    DOCUMENT_TOO_LARGE: "文档的页数或大小超过了服务器的限制。",
    PAGE_UNREADABLE: "这一页已损坏。",
    OPTION_INVALID: "有一项设置无法使用：",
    JOB_NOT_FOUND: "网关已不再保留这个文档，请重新识别。",
    REQUEST_INVALID: "网关无法理解这个请求：",
    BATCH_TOO_LARGE: "一次提交的文件过多。",
    DRAINING: "服务器正在停止，请稍后重试。",
    INTERNAL: "服务器处理失败。请重试；若再次出现，请报告。",
    MODEL_NOT_FOUND: "服务器上已没有这个模型，请在设置中另选。",
    CAMERA: "无法使用相机。请在浏览器中允许，并通过 HTTPS 或在本机打开此页。",
    OTHER: "出错了：",
  },
};

export const LANGUAGES = { en: ENGLISH, zh: CHINESE };

/** @typedef {keyof typeof LANGUAGES} Language */

const PARAMETER = "lang";

/** @returns {Language} The one of the address (?lang=zh), else the one chosen before, else the browser's. */
function firstLanguage() {
  const asked = new URLSearchParams(location.search).get(PARAMETER);
  return (asked || localStorage.getItem("language") || navigator.language).toLowerCase().startsWith("zh") ? "zh" : "en";
}

/** @type {Language} */
let language = firstLanguage();

/** @returns {Texts} In the language of the page. */
export function texts() {
  return LANGUAGES[language];
}

/** Speak the other language from now on. */
export function switchLanguage() {
  language = language === "zh" ? "en" : "zh";
  localStorage.setItem("language", language);
  const address = new URL(location.href);
  address.searchParams.delete(PARAMETER);
  history.replaceState(null, "", address);
  applyTexts();
}

/** Put the texts into the page: data-text for what an element says, data-label for what it is called. */
export function applyTexts() {
  document.documentElement.lang = language === "zh" ? "zh-CN" : "en";
  for (const element of document.querySelectorAll("[data-text]")) {
    element.textContent = named(/** @type {HTMLElement} */ (element).dataset.text ?? "");
  }
  for (const element of document.querySelectorAll("[data-label]")) {
    const label = named(/** @type {HTMLElement} */ (element).dataset.label ?? "");
    element.setAttribute("aria-label", label);
    if (element instanceof HTMLButtonElement) element.title = label;
  }
}

/** @param {string} path name of a text, and of one within it after a dot @returns {string} */
function named(path) {
  /** @type {any} */
  let text = texts();
  for (const name of path.split(".")) text = text[name];
  return text;
}
