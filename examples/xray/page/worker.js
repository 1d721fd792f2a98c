// Runs the core: one question after the other, each answered with JSON that the core made.

import init, { Log, event_of_line, models, open_call } from "./tollgate_xray.js";

const ready = init({ module_or_path: new URL("tollgate_xray_bg.wasm", import.meta.url) });
/** The log that is open, and its file: single lines are read again from there. @type {{log: Log, file: Blob} | null} */
let opened = null;

const answers = {
  call: (question) => JSON.parse(open_call(JSON.stringify(question))),
  models: () => JSON.parse(models()),
  log: openLog,
  view: (query) => JSON.parse(opened.log.view(JSON.stringify(query))),
  compare: (query) => JSON.parse(opened.log.compare(JSON.stringify(query))),
  event: async ({ offset, length }) => JSON.parse(event_of_line(await opened.file.slice(offset, offset + length).text())),
};

/** Reads a file, or one beside the page, piece by piece. */
async function openLog({ file, url }, progress) {
  const blob = file ?? (await fetched(url));
  const log = new Log();
  let read = 0;
  let told = 0;
  const reader = blob.stream().getReader();
  for (let piece = await reader.read(); !piece.done; piece = await reader.read()) {
    log.feed(piece.value);
    read += piece.value.byteLength;
    if (performance.now() - told > 100) {
      told = performance.now();
      progress({ read, size: blob.size });
    }
  }
  let contents;
  try {
    contents = JSON.parse(log.end());
  } catch (error) {
    // What was open before stays open.
    log.free();
    throw error;
  }
  opened?.log.free();
  opened = { log, file: blob };
  return contents;
}

async function fetched(url) {
  const response = await fetch(url);
  if (!response.ok) throw new Error(`${url} cannot be read: the server answers ${response.status}`);
  return response.blob();
}

let turn = Promise.resolve();
self.addEventListener("message", ({ data: { id, what, question } }) => {
  turn = turn.then(async () => {
    try {
      await ready;
      const answer = await answers[what](question, (progress) => self.postMessage({ id, progress }));
      self.postMessage({ id, answer });
    } catch (error) {
      self.postMessage({ id, error: typeof error === "string" ? error : String(error?.message ?? error) });
    }
  });
});
