// Two periods side by side, and what changed the cost from one to the other. The core works the causes out.

import { waterfall } from "./charts.js";
import { byId, el, panel, show, table } from "./dom.js";
import { ask } from "./engine.js";
import { count, counted, decimalsOf, dollars, each, exactly, length, percent, signed } from "./format.js";

const CAUSES = [
  ["volume_usd", "volume", "more or fewer calls"],
  ["caching_usd", "caching", "what prompt caches and response caches took off"],
  ["routing_usd", "routing", "other models, and other prices"],
  ["trimming_usd", "trimming", "longer or shorter prompts and answers"],
];

const GROUPS = [
  ["app", "app"], ["team", "team"], ["task_type", "task type"], ["user", "user"], ["agent", "agent"], ["model", "model"], ["feature", "feature"],
];

/** What is compared, until another log is open. @type {{before: Span, after: Span, by: string} | null} @typedef {{from: string, until: string}} Span */
let chosen = null;

/** A log was opened: nothing is chosen yet. */
export function forget() {
  chosen = null;
}

/**
 * Two months in a row where the log has them, else its first and its second half.
 * @param {string} first When the first call of the log began. @param {string} last When the last did.
 */
function suggested(first, last) {
  if (first.slice(0, 7) !== last.slice(0, 7)) {
    const month = (shift) => {
      const [year, number] = last.split("-").map(Number);
      return new Date(Date.UTC(year, number - 1 + shift, 1)).toISOString().slice(0, 19);
    };
    return { before: { from: month(-1), until: month(0) }, after: { from: month(0), until: month(1) }, by: "app" };
  }
  const [start, end] = [first, last].map((time) => Math.floor(Date.parse(time) / 1000));
  const middle = Math.floor((start + end) / 2) + 1;
  const time = (seconds) => new Date(seconds * 1000).toISOString().slice(0, 19);
  return { before: { from: time(start), until: time(middle) }, after: { from: time(middle), until: time(end + 1) }, by: "app" };
}

/**
 * @param {{first: string, last: string}} contents
 * @param {{by: string, key: string | null}[]} path Where in the log we are; months are chosen here instead.
 */
export function compareView({ first, last }, path) {
  chosen ??= suggested(first, last);
  const place = path.filter(({ by }) => by !== "month");
  const result = el("div", { id: "compare-result", role: "status" });
  const error = el("p", { id: "compare-error", class: "error", role: "alert", hidden: true });
  const span = (name, title) => {
    const time = (end, text) => el("div", { class: "field" },
      el("label", { for: `${name}-${end}` }, text),
      el("input", { type: "datetime-local", step: "1", id: `${name}-${end}`, value: chosen[name][end], required: true }));
    return el("fieldset", null, el("legend", null, title), el("div", { class: "row" }, time("from", "From"), time("until", "Until, not included")));
  };
  const by = el("select", { id: "compare-by" }, ...GROUPS.map(([name, text]) => el("option", { value: name, selected: name === chosen.by }, text)));
  const compare = async (event) => {
    event?.preventDefault();
    if (event) chosen = { before: read("before"), after: read("after"), by: by.value };
    try {
      const lines = await ask("compare", { path: place, ...question(chosen) });
      show(error, null);
      result.replaceChildren(...answer(lines));
    } catch (why) {
      result.replaceChildren();
      show(error, why.message);
    }
  };
  compare();
  return panel("What changed", "two periods in UTC, and why one costs more or less than the other",
    el("form", { id: "compare-form", class: "row periods", onsubmit: compare },
      span("before", "The earlier period"), span("after", "The later period"),
      el("div", { class: "field" }, el("label", { for: "compare-by" }, "Line by line by"), by),
      el("div", { class: "actions" }, el("button", { type: "submit" }, "Compare")),
    ),
    error,
    result,
  );
}

/** The period in the form; the browser leaves out seconds that are zero. @param {string} name */
function read(name) {
  const time = (end) => byId(`${name}-${end}`).value.padEnd(19, ":00");
  return { from: time("from"), until: time("until") };
}

/** Times as the core reads them. */
function question({ before, after, by }) {
  const utc = ({ from, until }) => ({ from: `${from}Z`, until: `${until}Z` });
  return { before: utc(before), after: utc(after), by };
}

function answer({ groups, total }) {
  const { before, after, effects } = total;
  if (before.calls + after.calls === 0) return [el("p", { class: "remark" }, "There are no calls in these periods.")];
  const causes = CAUSES.map(([field, name, meaning]) => ({ name, meaning, amount: effects[field] }));
  const amounts = [before.cost_usd, after.cost_usd, ...causes.map(({ amount }) => amount)];
  const decimals = decimalsOf(amounts);
  const change = length(total.difference_usd);
  const words = [
    `It cost ${dollars(before.cost_usd, decimals)}, then ${dollars(after.cost_usd, decimals)}: `,
    change === 0 ? "no difference." : `${dollars(total.difference_usd.replace("-", ""), decimals)} ${change < 0 ? "less" : "more"}${length(before.cost_usd) > 0 ? ` (${percent(Math.abs(change), length(before.cost_usd))})` : ""}.`,
  ].join("");
  const said = causes.filter(({ amount }) => length(amount) !== 0).map(({ name, amount }) => `${name} ${signed(amount, decimals)}`);
  return [
    el("p", { class: "verdict", id: "verdict" }, words),
    waterfall([["before", before.cost_usd], ...causes.map(({ name, amount }) => [name, amount, true]), ["after", after.cost_usd]], `${words} ${said.join(", ")}.`),
    el("dl", { class: "causes" }, ...causes.map(({ name, meaning }) => el("div", null, el("dt", null, name), el("dd", null, meaning)))),
    lineTable(groups, total),
    perCall(before, after),
    doubt(before, after),
  ];
}

function lineTable(groups, total) {
  const decimals = decimalsOf([total.before.cost_usd, total.after.cost_usd]);
  const money = (text) => el("span", { title: exactly(text) }, dollars(text, decimals));
  const changed = (text) => el("span", { title: exactly(text), class: length(text) < 0 ? "less" : length(text) > 0 ? "more" : null }, signed(text, decimals));
  const row = (line, name) => [
    name, count(line.before.calls), money(line.before.cost_usd), count(line.after.calls), money(line.after.cost_usd),
    ...CAUSES.map(([field]) => changed(line.effects[field])), changed(line.difference_usd),
  ];
  const sorted = [...groups].sort((one, other) => Math.abs(length(other.difference_usd)) - Math.abs(length(one.difference_usd)));
  return table({
    id: "lines",
    caption: "What changed the cost of each group; the causes of a line sum to its difference",
    head: ["", "calls", "before", "calls", "after", ...CAUSES.map(([, name]) => name), "difference"],
    rows: sorted.map((line) => row(line, line.name ?? el("span", { class: "unknown" }, "not named"))),
    foot: row(total, "all"),
  });
}

/** What a call came to in each period: what the causes are made of. */
function perCall(before, after) {
  const per = (period) => ({
    cost: dollars(each(period.cost_usd, period.calls)),
    input: count(Math.round(period.input_tokens / Math.max(1, period.forwarded))),
    output: count(Math.round(period.output_tokens / Math.max(1, period.forwarded))),
    price: period.input_tokens > 0 ? dollars(each(period.uncached_input_usd, period.input_tokens, 1_000_000)) : "–",
    left: percent(length(period.input_usd), length(period.uncached_input_usd)),
  });
  const [one, other] = [per(before), per(after)];
  return el("details", null,
    el("summary", null, "What a call came to"),
    table({
      caption: "What a call came to in each period",
      head: ["", "before", "after"],
      rows: [["cost", "cost"], ["input tokens", "input"], ["output tokens", "output"], ["a million input tokens, without a cache", "price"], ["of the input's cost, left by prompt caches", "left"]]
        .map(([name, field]) => [name, one[field], other[field]]),
    }),
  );
}

function doubt(before, after) {
  const unpriced = before.unpriced + after.unpriced;
  const undivided = before.undivided + after.undivided;
  const said = [
    unpriced > 0 && `${counted(unpriced, "call")} of unknown cost ${unpriced === 1 ? "is" : "are"} in no figure.`,
    undivided > 0 && `${counted(undivided, "call")} ${undivided === 1 ? "does" : "do"} not say what input and output cost; it counts as a fee.`,
  ].filter(Boolean);
  return said.length > 0 ? el("p", { class: "remark" }, said.join(" ")) : "";
}
