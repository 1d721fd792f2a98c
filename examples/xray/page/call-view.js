// An event, opened: the same for a call that was pasted and for one out of a log.

import { composition, inWords, legend } from "./charts.js";
import { cards, el, panel, table } from "./dom.js";
import { count, decimalsOf, dollars, exactly, femto, length, minus, moment, percent, sum } from "./format.js";
import { INPUT_PARTS, PARTS, label, meaning } from "./parts.js";

const BUCKETS = {
  input_uncached: "input, uncached",
  input_audio: "input audio",
  input_image: "input images",
  cache_read: "read from the cache",
  cache_read_audio: "audio read from the cache",
  cache_read_image: "images read from the cache",
  cache_write_5m: "written to the cache, 5 minutes",
  cache_write_1h: "written to the cache, 1 hour",
  output: "output",
  reasoning: "reasoning",
  output_audio: "output audio",
  output_image: "output images",
  citation: "sources that were read",
  web_search: "web searches",
  request: "fee per request",
  unattributed: "as the provider states it",
};

const CACHE_MISSES = {
  cold: "nothing like it was sent before",
  template_changed: "its instructions or tools changed",
  prefix_mismatch: "it differs from what was sent before",
  expired: "the cache had expired",
  below_minimum: "the prompt is too short to be cached",
  not_requested: "caching was not asked for",
};

/** What a call's tokens and dollars consist of. */
export function sharesOf(event) {
  const isPriced = event.cost_usd != null;
  const shares = INPUT_PARTS.flatMap((part) => {
    const share = event.components?.[part];
    return share ? [{ part, tokens: share.tokens, cached: share.cached_tokens ?? 0, cost: share.cost_usd ?? null }] : [];
  });
  const costs = Object.entries(event.cost ?? {});
  const isOutput = (name) => name.startsWith("output") || name === "reasoning";
  const isDivided = isPriced && !("unattributed" in (event.cost ?? {}));
  const output = sum(costs.filter(([name]) => isOutput(name)).map(([, cost]) => cost));
  shares.push({ part: "output", tokens: event.output_tokens ?? 0, cached: 0, cost: isDivided ? output : null });
  const fees = isPriced ? minus(event.cost_usd, sum(shares.map(({ cost }) => cost))) : "0";
  if (femto(fees) !== 0n) shares.push({ part: "other", tokens: 0, cached: 0, cost: fees });
  return shares.sort((one, other) => PARTS.indexOf(one.part) - PARTS.indexOf(other.part));
}

/**
 * @param {any} event
 * @param {{isPredicted?: boolean, alternatives?: Node | null}} [more]
 * @returns {Node[]}
 */
export function callView(event, { isPredicted = false, alternatives = null } = {}) {
  const shares = sharesOf(event);
  const used = shares.filter((share) => share.tokens > 0 || (share.cost && femto(share.cost) !== 0n));
  return [
    summary(event, isPredicted),
    reasons(event),
    used.length > 0 && picture(event, used),
    el("div", { class: "columns" }, billed(event), cacheView(event)),
    event.tools && toolsView(event.tools),
    alternatives,
    whole(event),
  ].filter(Boolean);
}

function summary(event, isPredicted) {
  const model = event.response_model ?? event.request_model;
  const known = event.input_tokens != null;
  return cards([
    {
      name: isPredicted ? "predicted cost of the input" : "cost",
      id: "cost",
      value: dollars(event.cost_usd),
      title: exactly(event.cost_usd),
      note: { list: "by the price list", provider: "as the provider states it", override: "by your prices" }[event.cost_source],
    },
    { name: isPredicted ? "input tokens, predicted" : "input tokens", value: count(event.input_tokens), note: usageNote(event) },
    { name: "output tokens", value: isPredicted ? "–" : count(event.output_tokens), note: event.reasoning_tokens ? `${count(event.reasoning_tokens)} of them reasoning` : null },
    { name: "served by the cache", value: known ? percent(event.cache_read_tokens ?? 0, event.input_tokens) : "unknown", note: known ? `${count(event.cache_read_tokens ?? 0)} tokens` : null },
    { name: "saved by the cache", value: dollars(event.cache?.savings_usd), title: exactly(event.cache?.savings_usd), class: length(event.cache?.savings_usd ?? null) > 0 ? "saved" : null },
    { name: "model", value: model ?? "unknown", class: "text", note: [event.provider, event.dialect].filter(Boolean).join(" · ") },
    { name: "outcome", value: event.outcome === "in_flight" ? "not answered yet" : event.outcome.replaceAll("_", " "), class: "text", note: event.error_type ?? event.finish_reason ?? null },
  ]);
}

function usageNote(event) {
  return { reported: "as the provider reports", counted: "counted here", estimated: "estimated here" }[event.usage_source];
}

function reasons(event) {
  const said = [
    event.unmetered_reason && `Not metered in full: ${event.unmetered_reason.replaceAll("_", " ")}.`,
    event.unpriced_reason && `Not priced: ${event.unpriced_reason}.`,
  ].filter(Boolean);
  return said.length > 0 && el("p", { class: "notice" }, said.join(" "));
}

function picture(event, shares) {
  const input = event.input_tokens ?? 0;
  const cached = shares.some((share) => share.cached > 0);
  const decimals = decimalsOf([event.cost_usd ?? null]);
  const amount = (text) => el("span", { title: exactly(text), class: text == null ? "unknown" : null }, dollars(text, text == null ? undefined : Math.max(decimals, 6)));
  const rows = shares.map((share) => [
    el("span", { title: meaning(share.part) }, el("span", { class: `swatch ${share.part}` }), label(share.part)),
    count(share.tokens),
    INPUT_PARTS.includes(share.part) ? percent(share.tokens, input) : "",
    INPUT_PARTS.includes(share.part) ? count(share.cached) : "",
    amount(share.cost),
    event.cost_usd == null || share.cost == null ? "–" : percent(length(share.cost), length(event.cost_usd)),
  ]);
  const user = event.components?.user?.tokens ?? 0;
  return panel("What it consisted of", null,
    legend(shares.map(({ part }) => part), cached),
    composition(shares, `Tokens and dollars by component: ${inWords(shares)}`),
    table({
      id: "components",
      caption: "Tokens and dollars by component",
      head: ["component", "tokens", "share of input", "cached", "cost", "share of cost"],
      rows,
      foot: ["all", count(input + (event.output_tokens ?? 0)), "", count(event.cache_read_tokens ?? 0), amount(event.cost_usd), ""],
    }),
    input > 0 && event.components?.user && el("p", { class: "remark" }, `The user asks ${percent(user, input)} of this input.`, returned(event)),
  );
}

/** What of the history tools returned. */
function returned({ tool_results: results }) {
  if (!results) return null;
  return ` What tools returned makes ${count(results.tokens)} tokens of the history${results.cost_usd == null ? "" : ` and ${dollars(results.cost_usd)}`}.`;
}

function billed(event) {
  const entries = Object.entries(event.cost ?? {});
  const tokens = (bucket) => ({ input_uncached: event.input_uncached_tokens, cache_read: event.cache_read_tokens, cache_write_5m: event.cache_write_5m_tokens, cache_write_1h: event.cache_write_1h_tokens, reasoning: event.reasoning_tokens, output: event.output_tokens != null ? event.output_tokens - (event.reasoning_tokens ?? 0) - (event.audio_output_tokens ?? 0) : null })[bucket];
  const decimals = Math.max(6, decimalsOf(entries.map(([, cost]) => cost)));
  const price = (event.prices ?? []).map((row) => [row.provider, row.model].filter(Boolean).join("/")).join(", ");
  if (entries.length === 0) {
    return panel("What was billed", null, el("p", { class: "remark" }, event.cost_usd === "0" ? "Nothing." : "The cost is unknown."));
  }
  return panel("What was billed", price ? `prices of ${price}` : null,
    table({
      caption: "Cost by kind of token",
      head: ["kind", "tokens", "cost"],
      rows: entries.map(([bucket, cost]) => [BUCKETS[bucket] ?? bucket, tokens(bucket) == null ? "" : count(tokens(bucket)), el("span", { title: exactly(cost) }, dollars(cost, decimals))]),
      foot: ["all", "", el("span", { title: exactly(event.cost_usd) }, dollars(event.cost_usd, decimals))],
    }),
    event.list_cost_usd != null && event.list_cost_usd !== event.cost_usd && el("p", { class: "remark" }, `By the price list: ${dollars(event.list_cost_usd)}.`),
  );
}

function cacheView(event) {
  const { cache } = event;
  if (!cache || event.input_tokens == null) return null;
  const read = event.cache_read_tokens ?? 0;
  const written = (event.cache_write_5m_tokens ?? 0) + (event.cache_write_1h_tokens ?? 0);
  const rest = event.input_tokens - read - written;
  const full = event.cost_usd != null && cache.savings_usd != null ? sum([event.cost_usd, cache.savings_usd]) : null;
  return panel("What caching did", null,
    table({
      caption: "Input by what the provider's cache did",
      head: ["input", "tokens", "share"],
      rows: [["the cached prefix, read", read], ["written to the cache", written], ["neither", rest]].map(([name, tokens]) => [name, count(tokens), percent(tokens, event.input_tokens)]),
      foot: ["all", count(event.input_tokens), ""],
    }),
    el("p", { class: "remark" },
      full != null && `Without the cache it would have cost ${dollars(full)}. `,
      cache.effective_input_per_million_usd != null && `A million input tokens cost ${dollars(cache.effective_input_per_million_usd)} like this. `,
      cache.miss_reason && `No more was read because ${CACHE_MISSES[cache.miss_reason] ?? cache.miss_reason}.`,
    ),
  );
}

function toolsView(tools) {
  const decimals = Math.max(6, decimalsOf(tools.heaviest.map((tool) => tool.cost_usd)));
  const most = Math.max(1, ...tools.heaviest.map((tool) => tool.tokens));
  const bar = (tokens) => {
    const element = el("span", { class: "bar" });
    element.style.width = `${(7 * tokens) / most}rem`;
    return element;
  };
  const unused = tools.unused_tokens > 0 ? `Tools that this answer does not call weigh ${count(tools.unused_tokens)} tokens` : null;
  return panel("What the tools weigh", `${count(tools.count)} defined`,
    table({
      id: "tools",
      caption: "Tokens and dollars of each tool definition",
      head: ["tool", "tokens", "cost of the definition", "in this answer"],
      rows: tools.heaviest.map((tool) => [
        tool.name,
        el("span", null, count(tool.tokens), bar(tool.tokens)),
        el("span", { title: exactly(tool.cost_usd) }, dollars(tool.cost_usd, tool.cost_usd == null ? undefined : decimals)),
        tool.called ? el("span", { class: "badge" }, "called") : "not called",
      ]),
    }),
    el("p", { class: "remark" },
      unused && `${unused}${tools.unused_cost_usd == null ? "" : `: ${dollars(tools.unused_cost_usd)} in this call alone`}. `,
      tools.overhead_tokens > 0 && `What the provider puts around tools: ${count(tools.overhead_tokens)} tokens.`,
    ),
  );
}

function whole(event) {
  const attributed = Object.entries(event.attribution ?? {});
  return panel("The event", moment(event.time),
    attributed.length > 0 && el("p", { class: "remark" }, attributed.map(([dimension, value]) => `${dimension.replaceAll("_", " ")}: ${value}`).join(" · ")),
    el("details", null,
      el("summary", null, "Show all fields"),
      el("pre", { tabindex: "0", id: "event-json", "aria-label": "The event as JSON" }, JSON.stringify(event, null, 2)),
    ),
  );
}
