// The first half of the page: a pasted call.

import { callView } from "./call-view.js";
import { byId, el, files, panel, show, table } from "./dom.js";
import { ask } from "./engine.js";
import { decimalsOf, dollars, exactly, femto, length } from "./format.js";

/** The price list, and the models that calls are compared with until others are asked for. */
const book = ask("models");
/** Models that were asked for beside those. @type {Set<string>} */
const added = new Set();
/** What is open, to be opened again with other models. */
let question = null;

export function start() {
  const [request, response, address] = ["request", "response", "address"].map(byId);
  for (const field of [request, response]) {
    files(field.parentElement, byId(`${field.id}-file`), async (file) => {
      field.value = await file.text();
      // A recorded exchange is whole; a half is looked at as soon as its other half is there.
      if (field === request) open();
    });
  }
  byId("call-form").addEventListener("submit", (event) => {
    event.preventDefault();
    open();
  });
  byId("call-form").addEventListener("reset", () => {
    show(byId("call-error"), null);
    byId("call-result").replaceChildren();
    request.focus();
  });
  byId("example").addEventListener("click", async () => {
    const example = await (await fetch("example.json")).json();
    const { method, url, headers, body } = example.request;
    const { host, pathname } = new URL(url);
    const head = [`${method} ${pathname} HTTP/1.1`, `host: ${host}`, ...Object.entries(headers).map(([name, value]) => `${name}: ${value}`)];
    request.value = `${head.join("\n")}\n\n${JSON.stringify(JSON.parse(body), null, 2)}`;
    response.value = example.response.body;
    address.value = "";
    open();
  });
  book.then(({ list, names }) => {
    byId("price-list").textContent = ` and the price list of ${list}`;
    document.body.append(el("datalist", { id: "models" }, ...names.map((name) => el("option", { value: name }))));
  }, (error) => show(byId("call-error"), error.message));

  function open() {
    question = { request: request.value, response: response.value, address: address.value };
    return reopen();
  }
}

async function reopen() {
  const error = byId("call-error");
  try {
    const models = [...new Set([...(await book).compared, ...added])];
    const opened = await ask("call", { ...question, now: Date.now(), models });
    show(error, null);
    const alternatives = opened.alternatives.length > 0 && opened.event.input_tokens != null ? alternativesView(opened) : null;
    byId("call-result").replaceChildren(...callView(opened.event, { isPredicted: opened.is_predicted, alternatives }));
    byId("call-status").textContent = `Opened: ${dollars(opened.event.cost_usd)}. The result follows the form.`;
  } catch (why) {
    byId("call-result").replaceChildren();
    byId("call-status").textContent = "";
    show(error, why.message);
  }
}

/** What the same tokens cost on other models. */
function alternativesView({ event, alternatives }) {
  const own = event.cost_usd;
  const sorted = [...alternatives].sort((one, other) => Number(one.cost_usd == null) - Number(other.cost_usd == null) || length(one.cost_usd) - length(other.cost_usd));
  const decimals = Math.max(6, decimalsOf([...alternatives.map(({ cost_usd }) => cost_usd), own]));
  const most = Math.max(...alternatives.map(({ cost_usd }) => length(cost_usd)), length(own ?? null), Number.MIN_VALUE);
  const factor = (cost) => {
    if (own == null || cost == null || femto(own) === 0n) return "–";
    const ratio = length(cost) / length(own);
    return ratio >= 10 ? `${ratio.toFixed(0)}×` : `${ratio.toFixed(2)}×`;
  };
  const bar = (cost) => {
    const element = el("span", { class: "bar" });
    element.style.width = `${(9 * length(cost)) / most}rem`;
    return element;
  };
  const rows = sorted.map(({ model, cost_usd }) => [
    model,
    cost_usd == null ? el("span", { class: "unknown" }, "no price for all of it") : el("span", { title: exactly(cost_usd) }, dollars(cost_usd, decimals)),
    factor(cost_usd),
    cost_usd == null ? "" : bar(cost_usd),
  ]);
  const input = el("input", { id: "compare", type: "text", list: "models", autocomplete: "off", placeholder: "provider/model" });
  const add = (event) => {
    event.preventDefault();
    if (!input.value.trim()) return;
    added.add(input.value.trim());
    reopen().then(() => byId("compare")?.focus());
  };
  return panel("What would it cost on …", "the same tokens, by the price list",
    table({ id: "alternatives", caption: "The cost of the same tokens on other models", head: ["model", "cost", "of this call", ""], rows, text: [0, 3] }),
    el("form", { class: "row", onsubmit: add },
      el("div", { class: "field grow" }, el("label", { for: "compare" }, "Another model of the price list"), input),
      el("div", { class: "actions" }, el("button", { type: "submit" }, "Compare")),
    ),
    el("p", { class: "remark" }, "Other models cut the same text into more or fewer tokens, often by 15 to 50%, and may answer at another length."),
  );
}
