// Numbers as people read them. Whatever is not a finite number is shown as a dash.

export const NONE = "–";
const MINUS = "−";

const known = (value) => typeof value === "number" && Number.isFinite(value);
const shown = (make) => (value) => (known(value) ? make(value) : NONE);
const fixed = (digits) => new Intl.NumberFormat("en-US", { minimumFractionDigits: digits, maximumFractionDigits: digits });
const DIGITS = [fixed(0), fixed(1), fixed(2), fixed(3)];
const COMPACT = new Intl.NumberFormat("en-US", { notation: "compact", maximumSignificantDigits: 3 });
const COMPACT_FROM = 100_000;

export { known };

export const count = shown((v) => (Math.abs(v) < COMPACT_FROM ? DIGITS[0] : COMPACT).format(v));

/** Three significant digits or so, for axes and rates. */
export const number = shown((v) => {
  const size = Math.abs(v);
  if (size >= COMPACT_FROM) return COMPACT.format(v);
  return DIGITS[size >= 100 || Number.isInteger(v) ? 0 : size >= 10 ? 1 : 2].format(v);
});

export const distance = shown((v) => DIGITS[3].format(v));

export const percent = shown((v) => DIGITS[Math.abs(v) > 0 && Math.abs(v) < 0.01 ? 2 : 1].format(v * 100) + "%");

const signed = (text, v) => (v < 0 ? MINUS + text.replace("-", "") : `+${text}`);

export const change = shown((v) => signed(DIGITS[1].format(v * 100), v) + "%");

/** A difference of two rates, in hundredths ("percentage points"). */
export const points = shown((v) => signed(DIGITS[2].format(v * 100), v));

export const interval = (i, make) => (i && known(i.low) && known(i.high) ? `${make(i.low)} to ${make(i.high)}` : NONE);

export const probability = shown((v) => (v < 0.001 ? "< 0.001" : DIGITS[3].format(v)));

export const milliseconds = shown((v) => {
  if (v < 1000) return `${DIGITS[v < 10 ? 1 : 0].format(v)} ms`;
  return v < 60_000 ? `${DIGITS[v < 10_000 ? 2 : 1].format(v / 1000)} s` : duration(v / 1000);
});

const PARTS = [["d", 86_400], ["h", 3600], ["min", 60], ["s", 1]];

/** Seconds in their two largest units: "3 d 4 h". */
export const duration = shown((seconds) => {
  if (seconds < 10) return `${DIGITS[seconds > 0 && seconds < 9.95 ? 1 : 0].format(seconds)} s`;
  const first = PARTS.findIndex(([, size]) => seconds >= size);
  const [name, size] = PARTS[first];
  const text = `${Math.floor(seconds / size)} ${name}`;
  if (first + 1 === PARTS.length) return text;
  const [smaller, unit] = PARTS[first + 1];
  const rest = Math.floor((seconds % size) / unit);
  return rest && size !== 60 ? `${text} ${rest} ${smaller}` : text;
});

const clockOf = (options) => {
  const made = new Intl.DateTimeFormat("en-GB", { hourCycle: "h23", ...options });
  return shown((ms) => made.format(new Date(ms)));
};

export const clock = clockOf({ hour: "2-digit", minute: "2-digit", second: "2-digit" });
export const hourMinute = clockOf({ hour: "2-digit", minute: "2-digit" });
export const dayTime = clockOf({ day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" });
export const day = clockOf({ day: "numeric", month: "short", year: "numeric" });

/** The last finite number of a series, or null. */
export function latest(values) {
  for (let i = values.length - 1; i >= 0; i--) if (known(values[i])) return values[i];
  return null;
}

export function median(values) {
  const sorted = values.filter(known).sort((a, b) => a - b);
  return sorted.length ? sorted[sorted.length >> 1] : null;
}
