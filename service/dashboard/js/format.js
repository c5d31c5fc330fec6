// How figures, times and sizes are written.

const whole = new Intl.NumberFormat("en");
const tenth = new Intl.NumberFormat("en", { maximumFractionDigits: 1, minimumFractionDigits: 1 });
const moment = new Intl.DateTimeFormat("en", { dateStyle: "medium", timeStyle: "medium", hour12: false });
const UNKNOWN = "–";

function isNumber(value) {
  return typeof value === "number" && Number.isFinite(value);
}

/** `128,400` */
export function count(value) {
  return isNumber(value) ? whole.format(value) : UNKNOWN;
}

/** `1 URL`, `2 URLs` */
export function counted(value, noun, plural = `${noun}s`) {
  return `${count(value)} ${value === 1 ? noun : plural}`;
}

/** `37.6 %`; never rounded to all or nothing when it is neither. */
export function percent(part, total) {
  if (!isNumber(part) || !isNumber(total) || total <= 0) return UNKNOWN;
  const share = (part / total) * 100;
  if (share > 0 && share < 0.1) return "< 0.1 %";
  if (share > 99.9 && share < 100) return "> 99.9 %";
  return `${share === 100 || share === 0 ? whole.format(share) : tenth.format(share)} %`;
}

/** `12/s`, `0.4/s` */
export function rate(value) {
  if (!isNumber(value)) return UNKNOWN;
  return `${value >= 20 ? whole.format(Math.round(value)) : tenth.format(value)}/s`;
}

/** `45 s`, `12 min`, `2 h 05 min`, `3 d 4 h` */
export function duration(seconds) {
  if (!isNumber(seconds)) return UNKNOWN;
  const s = Math.max(0, Math.round(seconds));
  if (s < 60) return `${s} s`;
  const minutes = Math.round(s / 60);
  if (s < 600) return s % 60 ? `${Math.floor(s / 60)} min ${String(s % 60).padStart(2, "0")} s` : `${s / 60} min`;
  if (minutes < 60) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  if (hours < 24) return `${hours} h ${String(minutes % 60).padStart(2, "0")} min`;
  return `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

/** `1.2 MB`, in thousands as the limits of the API are. */
export function bytes(value) {
  if (!isNumber(value)) return UNKNOWN;
  const units = ["B", "kB", "MB", "GB", "TB"];
  let unit = 0;
  let size = value;
  while (size >= 999.95 && unit < units.length - 1) {
    size /= 1000;
    unit += 1;
  }
  return `${unit === 0 ? whole.format(size) : tenth.format(size)} ${units[unit]}`;
}

/** The moment as a person reads it, in the browser's time zone. */
export function time(text) {
  const date = new Date(text);
  return Number.isNaN(date.getTime()) ? UNKNOWN : moment.format(date);
}

/** `3 min ago`, `in 23 h 59 min` */
export function relative(text, now = Date.now()) {
  const seconds = (now - new Date(text).getTime()) / 1000;
  if (!Number.isFinite(seconds)) return UNKNOWN;
  if (Math.abs(seconds) < 5) return "now";
  return seconds > 0 ? `${coarse(seconds)} ago` : `in ${coarse(-seconds)}`;
}

function coarse(seconds) {
  if (seconds < 3600 && seconds >= 60) return `${Math.floor(seconds / 60)} min`;
  if (seconds >= 3600 && seconds < 86_400) return `${Math.floor(seconds / 3600)} h`;
  if (seconds >= 86_400) return `${Math.floor(seconds / 86_400)} d`;
  return duration(seconds);
}

/** What a job is called. */
export function title(job) {
  return job.name || job.id;
}
