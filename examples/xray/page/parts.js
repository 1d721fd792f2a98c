// What a cost consists of: names, order and colours, the same in every picture and table.

/** In the order in which they are drawn: what providers cache comes first. */
export const PARTS = ["tools", "system", "few_shot", "history", "user", "output", "other"];
export const INPUT_PARTS = PARTS.slice(0, 5);

const LABELS = {
  system: "system",
  tools: "tools",
  few_shot: "examples",
  history: "history",
  user: "user",
  output: "output",
  other: "other",
};

const MEANINGS = {
  system: "instructions",
  tools: "tool definitions",
  few_shot: "worked examples",
  history: "the conversation so far, tool results included",
  user: "what the user asks now",
  output: "the answer, reasoning included",
  other: "fees, and what no price divides",
};

export const label = (part) => LABELS[part] ?? part;
export const meaning = (part) => MEANINGS[part] ?? "";
export const colour = (part) => variable(`--part-${part}`);

/** The value of a colour as the sheet has it now, light or dark. */
export function variable(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}
