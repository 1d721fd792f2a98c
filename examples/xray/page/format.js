// Numbers as text: English, with separators for thousands. Amounts of money come as exact decimal strings and are rounded
// as integers; a float of an amount is for the length of a bar alone.

const DECIMALS = 15;
const whole = new Intl.NumberFormat("en-US");

/** @param {number | null | undefined} number */
export function count(number) {
  return number == null ? "unknown" : whole.format(number);
}

/** `part` of `all`, as a percentage with one decimal. @param {number} part @param {number} all */
export function percent(part, all) {
  return all > 0 ? `${((100 * part) / all).toFixed(1)}%` : "–";
}

/** An exact amount in 1e-15 dollars. @param {string} text @returns {bigint} */
export function femto(text) {
  const negative = text.startsWith("-");
  const [digits, decimals = ""] = text.replace("-", "").split(".");
  const amount = BigInt(digits + decimals.padEnd(DECIMALS, "0").slice(0, DECIMALS));
  return negative ? -amount : amount;
}

/** 1e-15 dollars as an exact amount. @param {bigint} amount */
function exact(amount) {
  const digits = (amount < 0n ? -amount : amount).toString().padStart(DECIMALS + 1, "0");
  const decimals = digits.slice(-DECIMALS).replace(/0+$/, "");
  return `${amount < 0n ? "-" : ""}${digits.slice(0, -DECIMALS)}${decimals && `.${decimals}`}`;
}

/** The exact sum; what is unknown adds nothing. @param {(string | null)[]} amounts */
export function sum(amounts) {
  return exact(amounts.reduce((total, amount) => total + femto(amount ?? "0"), 0n));
}

/** The exact difference. @param {string} one @param {string} other */
export function minus(one, other) {
  return exact(femto(one) - femto(other));
}

/** What one of so many costs, cut to 1e-15 dollars; in lots of `lot`. @param {string} amount @param {number} number @param {number} [lot] */
export function each(amount, number, lot = 1) {
  return exact((femto(amount) * BigInt(lot)) / BigInt(Math.max(1, number)));
}

/** For the length of a bar. @param {string | null} text */
export function length(text) {
  return text == null ? 0 : Number(text);
}

/** How many decimals amounts of this size are shown with. @param {bigint} amount */
function decimalsFor(amount) {
  const digits = (amount < 0n ? -amount : amount).toString().length;
  if (amount === 0n || digits > DECIMALS + 2) return 2;
  if (digits > DECIMALS) return 4;
  return digits > DECIMALS - 4 ? 6 : 8;
}

/** The decimals that a column of amounts has in common. @param {(string | null)[]} texts */
export function decimalsOf(texts) {
  const sizes = texts.filter((text) => text != null).map((text) => femto(text));
  const size = (amount) => (amount < 0n ? -amount : amount);
  return decimalsFor(sizes.reduce((most, amount) => (size(amount) > size(most) ? amount : most), 0n));
}

/**
 * An amount for people: `$1,234.56`, `$0.008283`, `unknown`. Rounded half away from zero; what is not zero never shows as zero.
 * @param {string | null | undefined} text
 * @param {number} [decimals]
 */
export function dollars(text, decimals) {
  if (text == null) return "unknown";
  const amount = femto(text);
  if (amount === 0n) return "$0";
  const places = decimals ?? decimalsFor(amount);
  const unit = 10n ** BigInt(DECIMALS - places);
  const size = amount < 0n ? -amount : amount;
  const rounded = (size + unit / 2n) / unit;
  const sign = amount < 0n ? "−" : "";
  const split = 10n ** BigInt(places);
  const shown = (value) => `$${whole.format(value / split)}.${(value % split).toString().padStart(places, "0")}`;
  return rounded === 0n ? `${sign}<${shown(1n)}` : sign + shown(rounded);
}

/** A change, with its sign. @param {string} text @param {number} [decimals] */
export function signed(text, decimals) {
  return femto(text) > 0n ? `+${dollars(text, decimals)}` : dollars(text, decimals);
}

/** The exact amount, for whoever asks. @param {string | null | undefined} text */
export function exactly(text) {
  return text == null ? "unknown" : `exactly $${text}`;
}

/** `1 call`, `2 calls`. @param {number} number @param {string} word */
export function counted(number, word) {
  return `${count(number)} ${word}${number === 1 ? "" : "s"}`;
}

/** A time as it is written in events, for people. @param {string} time */
export function moment(time) {
  return time.replace("T", " ").replace(/\.\d+Z$|Z$/, "");
}

const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/** A step of time below a chart: `Oct 3`, `09:30`, `Oct 3 09:00`, `Oct 2026`. @param {string} at @param {string} unit */
export function step(at, unit) {
  const [date, time] = at.split("T");
  const [year, month, day] = date.split("-").map(Number);
  const name = MONTHS[month - 1];
  return { minute: time, hour: `${name} ${day} ${time}`, day: `${name} ${day}`, month: `${name} ${year}` }[unit];
}

/** @param {number} bytes */
export function megabytes(bytes) {
  return `${whole.format(Math.ceil(bytes / 1e5) / 10)} MB`;
}
