// The second half of the page: a log of events, from the month down to the single request.

import { callView } from "./call-view.js";
import { legend, partsOf, stacked } from "./charts.js";
import { compareView, forget } from "./compare.js";
import { byId, cards, el, files, panel, show, table } from "./dom.js";
import { ask } from "./engine.js";
import { count, counted, decimalsOf, dollars, each, exactly, length, megabytes, moment, percent, step } from "./format.js";
import { label } from "./parts.js";

/** The levels of the drill-down, with what calls without a value are called. */
const LEVELS = [
  { by: "month", name: "month", plural: "months", none: "no month" },
  { by: "app", name: "app", plural: "apps", none: "no app" },
  { by: "task_type", name: "task type", plural: "task types", none: "no task type" },
  { by: "task", name: "task", plural: "tasks", none: "no task" },
  { by: "session", name: "session", plural: "sessions", none: "no session" },
  { by: "request", name: "request", plural: "requests", none: "no id" },
];

/** By what spenders are ranked. */
const SPENDERS = [
  ["user", "user"], ["team", "team"], ["model", "model"], ["agent", "agent"], ["feature", "feature"], ["environment", "environment"],
  ["scenario", "scenario"], ["owner", "owner"], ["template_version", "template version"], ["api_key", "API key"], ["provider", "provider"], ["outcome", "outcome"],
];

const LISTED = 200;
const DRAWN = 12;
const RANKED = 10;

/** Where in the log we are. @type {{by: string, key: string | null}[]} */
let path = [];
let spenders = "user";
/** What the open log holds. */
let contents = null;
/** The answer to the last question; earlier ones that come late are dropped. */
let turn = 0;

export function start() {
  files(byId("log-drop"), byId("log-file"), (file) => open({ file }, file.name));
}

/** Opens a log that lies beside the page. @param {string} url */
export function openBeside(url) {
  open({ url }, url);
}

async function open(source, name) {
  const [error, status, progress] = ["log-error", "log-status", "log-progress"].map(byId);
  show(error, null);
  status.textContent = `Reading ${name} …`;
  progress.hidden = false;
  progress.value = 0;
  try {
    contents = await ask("log", source, ({ read, size }) => {
      progress.value = size > 0 ? read / size : 0;
      status.textContent = `Reading ${name} … ${megabytes(read)} of ${megabytes(size)}`;
    });
    status.textContent = `${name}: ${counted(contents.calls, "call")} from ${moment(contents.first)} to ${moment(contents.last)}`;
    byId("log-notice").replaceChildren(...notice(contents));
    path = [];
    forget();
    await render(false);
  } catch (why) {
    status.textContent = "";
    show(error, `${name}: ${why.message}`);
  } finally {
    progress.hidden = true;
  }
}

/** What of a log was not shown, and why. */
function notice({ without_event, unreadable, repeated, problems }) {
  const said = [];
  if (without_event > 0) said.push(`${counted(without_event, "line")} about something else.`);
  if (repeated > 0) said.push(`${counted(repeated, "line")} of calls that another line tells as well, counted once.`);
  const notes = said.length > 0 ? [el("p", { class: "hint" }, said.join(" "))] : [];
  if (unreadable > 0) {
    notes.push(el("div", { class: "notice", role: "alert" },
      `${counted(unreadable, "line")} could not be read and ${unreadable === 1 ? "is" : "are"} in no figure.`,
      el("ul", null, ...problems.slice(0, 5).map(({ line, reason }) => el("li", null, `Line ${count(line)}: ${reason}`))),
    ));
  }
  return notes;
}

async function go(steps) {
  path = steps;
  await render(true);
}

/** @param {boolean} moved Whether somebody went somewhere, and wants to be there. */
async function render(moved) {
  const own = ++turn;
  const level = LEVELS[Math.min(path.length, LEVELS.length - 1)];
  const result = byId("log-result");
  const view = await ask("view", { path, by: level.by, top: [spenders], limit: LISTED });
  const event = path.length === LEVELS.length ? await ask("event", view.groups.listed[0]) : null;
  if (own !== turn) return;
  result.hidden = false;
  if (event) {
    result.replaceChildren(trail(), ...callView(event));
  } else {
    result.replaceChildren(trail(), summary(view.total), courseView(view), groupsView(view, level), spendersView(view), compareView(contents, path));
  }
  if (moved) {
    const here = result.querySelector("[aria-current]");
    here.focus();
    result.scrollIntoView({ block: "start" });
  }
}

/** The way back. */
function trail() {
  const here = path.length;
  const step = (index, text, level) => {
    const named = [level && el("span", { class: "level" }, level), text];
    return el("li", null, index === here
      ? el("span", { "aria-current": "page", tabindex: "-1" }, ...named)
      : el("button", { class: "link", onclick: () => go(path.slice(0, index)) }, ...named));
  };
  return el("nav", { class: "trail", "aria-label": "Where you are" },
    el("ol", null, step(0, "Everything"), ...path.map(({ key }, index) => step(index + 1, key ?? LEVELS[index].none, LEVELS[index].name))),
  );
}

function summary(total) {
  const unknown = total.unpriced > 0 ? `and ${counted(total.unpriced, "call")} of unknown cost` : null;
  return cards([
    { name: "cost", id: "total-cost", value: dollars(total.cost_usd), title: exactly(total.cost_usd), note: unknown },
    { name: "calls", id: "total-calls", value: count(total.calls), note: total.unmetered > 0 ? `${count(total.unmetered)} without token counts` : null },
    { name: "input tokens", id: "total-input", value: count(total.input_tokens) },
    { name: "output tokens", id: "total-output", value: count(total.output_tokens) },
    { name: "served by prompt caches", value: percent(total.cached_tokens, total.input_tokens), note: `${count(total.cached_tokens)} tokens` },
    { name: "saved by them", value: dollars(total.saved_usd), title: exactly(total.saved_usd), class: length(total.saved_usd) > 0 ? "saved" : null },
  ]);
}

function money(text, decimals) {
  return el("span", { title: exactly(text) }, dollars(text, decimals));
}

function courseView({ course }) {
  const groups = course.points.map(({ at, sum }) => ({ name: moment(at), sum }));
  const sums = groups.map((group) => group.sum);
  const parts = partsOf(sums);
  const decimals = decimalsOf(sums.map((sum) => sum.cost_usd));
  const dearest = groups.reduce((most, group) => (length(group.sum.cost_usd) > length(most.sum.cost_usd) ? group : most), groups[0]);
  const words = `Cost by ${course.unit} in ${counted(groups.length, "step")}; most, ${dollars(dearest.sum.cost_usd)}, at ${dearest.name}.`;
  return panel("Over time", `by ${course.unit}, and what it was for`,
    legend(parts),
    stacked(course.points.map(({ at, sum }) => ({ name: step(at, course.unit), sum })), words, { height: 220 }),
    el("details", null,
      el("summary", null, "Show as a table"),
      table({
        id: "course",
        caption: words,
        head: [course.unit, "calls", ...parts.map(label), "cost"],
        rows: groups.map(({ name, sum }) => [name, count(sum.calls), ...parts.map((part) => money(sum.parts[part].cost_usd, decimals)), money(sum.cost_usd, decimals)]),
      }),
    ),
  );
}

function groupsView({ total, groups }, level) {
  const isRequest = level.by === "request";
  const nameOf = (group) => (isRequest ? moment(group.time) : (group.key ?? level.none));
  const choose = (group) => go([...path, { by: level.by, key: group.key }]);
  const named = groups.listed.map((group) => ({ name: nameOf(group), sum: group.sum }));
  const decimals = decimalsOf([...groups.listed.map((group) => group.sum.cost_usd), total.cost_usd]);
  const first = (group) => el("button", { class: "link", onclick: () => choose(group), "data-key": group.key ?? "" },
    isRequest ? `${moment(group.time)}` : group.key ?? el("span", { class: "unknown" }, level.none));
  const figures = ({ sum }) => [
    count(sum.input_tokens), count(sum.output_tokens), percent(sum.cached_tokens, sum.input_tokens),
    sum.unpriced > 0 && sum.unpriced === sum.calls ? el("span", { class: "unknown" }, "unknown") : money(sum.cost_usd, decimals),
    percent(length(sum.cost_usd), length(total.cost_usd)),
  ];
  const own = (group) => isRequest ? [group.model ?? "", group.outcome === "complete" ? "complete" : el("span", { class: "badge bad" }, (group.outcome ?? "").replaceAll("_", " "))] : [count(group.sum.calls)];
  const rows = groups.listed.map((group) => [first(group), ...own(group), ...figures(group)]);
  if (groups.rest) rows.push([`${counted(groups.count - groups.listed.length, isRequest ? "other request" : "other")}`, ...(isRequest ? ["", ""] : [count(groups.rest.calls)]), ...figures({ sum: groups.rest })]);
  const drawn = named.slice(0, DRAWN);
  const words = `Cost of ${level.plural}: ${drawn.slice(0, 5).map(({ name, sum }) => `${name} ${dollars(sum.cost_usd)}`).join(", ")}.`;
  const title = { month: "By month", request: "The requests" }[level.by] ?? `By ${level.name}`;
  return panel(title, groups.count > 1 ? `${counted(groups.count, level.name)}${level.by === "month" ? "" : ", the dearest first"}` : null,
    !isRequest && drawn.length > 1 && stacked(drawn, words, { across: true, height: 40 + 30 * drawn.length, choose: (index) => choose(groups.listed[index]) }),
    table({
      id: "groups",
      caption: `${title}: calls, tokens and cost. Open one to see what it consists of.`,
      head: isRequest
        ? ["request", "model", "outcome", "input", "output", "cached", "cost", "share"]
        : [level.name, "calls", "input", "output", "cached", "cost", "share"],
      rows,
      text: isRequest ? [0, 1, 2] : [0],
      foot: ["all", ...(isRequest ? ["", ""] : [count(total.calls)]), ...figures({ sum: total })],
    }),
  );
}

function spendersView({ total, top }) {
  const groups = top[spenders];
  const ranked = groups.listed.slice(0, RANKED);
  const name = (group) => group.key ?? "not named";
  const decimals = decimalsOf(ranked.map((group) => group.sum.cost_usd));
  const choose = el("select", { id: "spenders", onchange: (event) => {
    spenders = event.target.value;
    render(false).then(() => byId("spenders").focus());
  } }, ...SPENDERS.map(([by, text]) => el("option", { value: by, selected: by === spenders }, text)));
  const words = `The top spenders by ${spenders.replaceAll("_", " ")}: ${ranked.slice(0, 5).map((group) => `${name(group)} ${dollars(group.sum.cost_usd)}`).join(", ")}.`;
  return panel("Top spenders", `${count(groups.count)} in all`,
    el("p", null, el("label", { for: "spenders" }, "Ranked by "), choose),
    ranked.length > 1 && stacked(ranked.map((group) => ({ name: name(group), sum: group.sum })), words, { across: true, height: 40 + 28 * ranked.length }),
    table({
      id: "top",
      caption: words,
      head: [spenders.replaceAll("_", " "), "calls", "cost", "share", "cost per call"],
      rows: ranked.map((group) => [
        group.key ?? el("span", { class: "unknown" }, "not named"), count(group.sum.calls), money(group.sum.cost_usd, decimals),
        percent(length(group.sum.cost_usd), length(total.cost_usd)),
        dollars(each(group.sum.cost_usd, group.sum.calls)),
      ]),
    }),
  );
}
