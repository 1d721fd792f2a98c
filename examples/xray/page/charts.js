// Pictures, drawn by Chart.js. Every picture has a text for screen readers, and a table beside it with the same figures.
// What is drawn follows the colours of the sheet, light or dark.

import { el } from "./dom.js";
import { count, dollars, length, percent, signed } from "./format.js";
import { INPUT_PARTS, PARTS, colour, label, variable } from "./parts.js";

const { Chart } = globalThis;
/** @type {Set<{chart: any, options: () => any}>} */
const drawn = new Set();

Chart.defaults.animation = false;
Chart.defaults.font.family = getComputedStyle(document.body).fontFamily;
Chart.defaults.font.size = 12.5;
Chart.defaults.maintainAspectRatio = false;
Chart.defaults.plugins.legend.display = false;
Chart.defaults.datasets.bar.maxBarThickness = 46;

matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  for (const { chart, options } of drawn) {
    Object.assign(chart, { data: options().data });
    chart.options = options().options;
    chart.update();
  }
});

/**
 * @param {() => any} options What to draw, anew for other colours.
 * @param {string} description What the picture shows, in words.
 * @param {number} height In pixels.
 */
function draw(options, description, height) {
  const canvas = el("canvas", { role: "img", "aria-label": description });
  const frame = el("div", { class: "chart" }, canvas);
  frame.style.height = `${height}px`;
  // The canvas has a size once it is in the page.
  requestAnimationFrame(() => {
    if (!canvas.isConnected) return;
    for (const old of drawn) {
      if (old.chart.canvas?.isConnected) continue;
      old.chart.destroy();
      drawn.delete(old);
    }
    drawn.add({ chart: new Chart(canvas, options()), options });
  });
  return frame;
}

function axis(more = {}) {
  return {
    border: { display: false },
    ...more,
    grid: { color: variable("--line"), drawTicks: false, ...more.grid },
    ticks: { color: variable("--muted"), padding: 8, ...more.ticks },
  };
}

const tooltip = (label) => ({
  backgroundColor: variable("--ink"),
  titleColor: variable("--paper"),
  bodyColor: variable("--paper"),
  footerColor: variable("--paper"),
  padding: 10,
  boxPadding: 5,
  callbacks: { label },
});

/** Stripes in a colour: what a cache served. */
function striped(colour) {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = 8;
  const context = canvas.getContext("2d");
  context.fillStyle = colour;
  context.globalAlpha = 0.32;
  context.fillRect(0, 0, 8, 8);
  context.globalAlpha = 1;
  context.strokeStyle = colour;
  context.lineWidth = 1.6;
  for (const shift of [-8, 0, 8]) {
    context.beginPath();
    context.moveTo(shift, 8);
    context.lineTo(shift + 8, 0);
    context.stroke();
  }
  return context.createPattern(canvas, "repeat");
}

/**
 * One call as two bars: its tokens, and its dollars, each divided by what they were for. What a cache served is striped.
 * @param {{part: string, tokens: number, cached: number, cost: string | null}[]} shares
 * @param {string} description
 */
export function composition(shares, description) {
  const tokens = shares.reduce((sum, share) => sum + share.tokens, 0);
  const cost = shares.reduce((sum, share) => sum + Math.max(0, length(share.cost)), 0);
  const of = (part, all) => (all > 0 ? (100 * part) / all : 0);
  const options = () => {
    const gap = { borderColor: variable("--paper"), borderWidth: { left: 0, right: 1.5 }, borderSkipped: false };
    const datasets = shares.flatMap((share) => {
      const paid = of(Math.max(0, length(share.cost)), cost);
      const fresh = { share, label: label(share.part), backgroundColor: colour(share.part), ...gap, data: [of(share.tokens - share.cached, tokens), paid] };
      if (share.cached === 0) return [fresh];
      const striping = striped(colour(share.part));
      return [{ share, isCached: true, label: `${label(share.part)}, cached`, backgroundColor: striping, ...gap, data: [of(share.cached, tokens), 0] }, fresh];
    });
    const say = ({ dataset, dataIndex, raw }) => {
      const { share, isCached } = dataset;
      const number = isCached ? share.cached : share.tokens - share.cached;
      const what = dataIndex === 0 ? `${count(number)} tokens` : dollars(share.cost);
      return `${dataset.label}: ${what} (${raw.toFixed(1)}%)`;
    };
    return {
      type: "bar",
      data: { labels: ["Tokens", "Dollars"], datasets },
      options: {
        indexAxis: "y",
        scales: {
          x: axis({ stacked: true, min: 0, max: 100, ticks: { callback: (value) => `${value}%`, maxTicksLimit: 6 } }),
          y: axis({ stacked: true, grid: { display: false }, ticks: { color: variable("--ink") } }),
        },
        interaction: { mode: "nearest", intersect: true },
        plugins: { tooltip: { ...tooltip(say), filter: ({ raw }) => raw > 0 } },
      },
    };
  };
  return draw(options, description, 148);
}

/** Names and colours of parts. @param {string[]} parts @param {boolean} [cached] Whether stripes are explained too. */
export function legend(parts, cached) {
  const entry = (name, text) => el("li", null, el("span", { class: `swatch ${name}` }), text);
  return el("ul", { class: "legend", "aria-label": "Colours" },
    ...parts.map((part) => entry(part, label(part))),
    cached && entry("cached", "served by the provider’s cache"),
  );
}

/** The parts that sums have anything of. @param {{parts: Record<string, {cost_usd: string}>}[]} sums */
export function partsOf(sums) {
  return PARTS.filter((part) => sums.some((sum) => length(sum.parts[part].cost_usd) !== 0));
}

/**
 * Dollars of groups, stacked by what they were for.
 * @param {{name: string, sum: any}[]} groups
 * @param {string} description
 * @param {{across?: boolean, height: number, choose?: (index: number) => void}} how `across` draws bars that lie.
 */
export function stacked(groups, description, { across = false, height, choose }) {
  const options = () => {
    const datasets = partsOf(groups.map((group) => group.sum)).map((part) => ({
      part,
      label: label(part),
      backgroundColor: colour(part),
      data: groups.map((group) => length(group.sum.parts[part].cost_usd)),
    }));
    const money = axis({ stacked: true, beginAtZero: true, ticks: { callback: (value) => short(value), maxTicksLimit: 7 } });
    // Bars that lie are few, and each has its name; of those that stand side by side, as many as there is room for.
    const named = across ? { color: variable("--ink"), autoSkip: false } : { autoSkipPadding: 14, maxRotation: 0 };
    const names = axis({ stacked: true, grid: { display: false }, ticks: named });
    const say = ({ dataset, dataIndex }) => `${dataset.label}: ${dollars(groups[dataIndex].sum.parts[dataset.part].cost_usd)}`;
    const all = (items) => (items.length ? `together ${dollars(groups[items[0].dataIndex].sum.cost_usd)}` : "");
    const described = tooltip(say);
    described.callbacks.footer = all;
    return {
      type: "bar",
      data: { labels: groups.map((group) => clipped(group.name)), datasets },
      options: {
        indexAxis: across ? "y" : "x",
        scales: across ? { x: money, y: names } : { x: names, y: money },
        interaction: { mode: "index", axis: across ? "y" : "x", intersect: false },
        plugins: { tooltip: { ...described, filter: ({ raw }) => raw !== 0 } },
        onClick: (_, items) => items.length && choose?.(items[0].index),
        onHover: choose && ((event, items) => (event.native.target.style.cursor = items.length ? "pointer" : "default")),
      },
    };
  };
  return draw(options, description, height);
}

/**
 * From one amount to another, step by step.
 * @param {[name: string, amount: string, isStep?: boolean][]} bars Amounts stand on the ground; steps go up or down from where the last ended.
 * @param {string} description
 */
export function waterfall(bars, description) {
  let at = 0;
  const ranges = bars.map(([, amount, isStep]) => {
    const from = isStep ? at : 0;
    at = from + length(amount);
    return [from, at];
  });
  const options = () => {
    const paint = ([from, to], index) => variable(bars[index][2] ? (to < from ? "--good" : "--bad") : "--accent");
    const say = ({ dataIndex }) => (bars[dataIndex][2] ? signed(bars[dataIndex][1]) : dollars(bars[dataIndex][1]));
    return {
      type: "bar",
      data: { labels: bars.map(([name]) => name), datasets: [{ data: ranges, backgroundColor: ranges.map(paint), minBarLength: 2, maxBarThickness: 84 }] },
      options: {
        scales: {
          x: axis({ grid: { display: false }, ticks: { color: variable("--ink") } }),
          y: axis({ beginAtZero: true, ticks: { callback: (value) => short(value), maxTicksLimit: 6 } }),
        },
        plugins: { tooltip: tooltip(say) },
      },
    };
  };
  return draw(options, description, 220);
}

const clipped = (name) => (name.length > 28 ? `${name.slice(0, 27)}…` : name);

/** A scale's figure: for the eye, not for the books. @param {number} value */
function short(value) {
  const digits = Math.abs(value) >= 1000 ? 0 : Math.abs(value) >= 1 ? 2 : Math.abs(value) >= 0.01 ? 3 : 6;
  const text = value.toLocaleString("en-US", { minimumFractionDigits: 0, maximumFractionDigits: digits });
  return `$${text}`;
}

/** What a composition shows, in words. @param {{part: string, tokens: number, cost: string | null}[]} shares */
export function inWords(shares) {
  const tokens = shares.filter(({ part }) => INPUT_PARTS.includes(part)).reduce((sum, share) => sum + share.tokens, 0);
  const words = shares.map(({ part, tokens: own, cost }) => {
    const share = INPUT_PARTS.includes(part) ? ` (${percent(own, tokens)} of the input)` : "";
    return `${label(part)} ${count(own)} tokens${share}, ${dollars(cost)}`;
  });
  return words.join("; ");
}
