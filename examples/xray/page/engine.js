// Asks the worker. Everything that takes time happens there, so the page never freezes.

const worker = new Worker(new URL("worker.js", import.meta.url), { type: "module" });
/** @type {Map<number, {resolve: (answer: any) => void, reject: (error: Error) => void, progress?: (state: any) => void}>} */
const open = new Map();
let last = 0;

worker.addEventListener("message", ({ data: { id, answer, error, progress } }) => {
  const question = open.get(id);
  if (progress) return question?.progress?.(progress);
  open.delete(id);
  if (error === undefined) question?.resolve(answer);
  else question?.reject(new Error(error));
});
worker.addEventListener("error", (event) => {
  const why = event.message || "its files could not be loaded";
  for (const question of open.values()) question.reject(new Error(`The core does not run in this browser: ${why}`));
  open.clear();
});

/**
 * @param {"call" | "models" | "log" | "view" | "compare" | "event"} what
 * @param {unknown} [question]
 * @param {(state: {read: number, size: number}) => void} [progress]
 * @returns {Promise<any>}
 */
export function ask(what, question, progress) {
  const id = ++last;
  return new Promise((resolve, reject) => {
    open.set(id, { resolve, reject, progress });
    worker.postMessage({ id, what, question });
  });
}
