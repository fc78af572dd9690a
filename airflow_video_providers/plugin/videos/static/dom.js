// SPDX-License-Identifier: Apache-2.0
// Elements, links and words. Every text goes into the page as text, never as HTML.

/** Return a new element; `properties` are its own, `children` are elements or texts. */
export function element(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null) continue;
    if (name === "class") made.className = value;
    else if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (name.startsWith("aria-") || name.startsWith("data-") || name === "role") made.setAttribute(name, value);
    else made[name] = value;
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

/** The address of Airflow's UI: this page is one folder below it. */
const airflow = new URL("..", document.location.href.split(/[?#]/)[0]);

/** Return the address of a page of Airflow. */
export function airflowUrl(...parts) {
  return new URL(parts.map(encodeURIComponent).join("/"), airflow).href;
}

/** Return a link to a page of Airflow. */
export function airflowLink(text, ...parts) {
  return follow(element("a", { href: airflowUrl(...parts) }, text), "_top");
}

/** Return a link to another site in a new tab, or null where the address is not http(s). */
export function outerLink(text, address) {
  let url;
  try {
    url = new URL(address);
  } catch {
    return null;
  }
  if (url.protocol !== "https:" && url.protocol !== "http:") return null;
  return follow(element("a", { href: url.href, rel: "noopener noreferrer", class: "outer" }, text), "_blank");
}

/**
 * Let a link lead out of Airflow's frame. The frame's sandbox forbids that to its own links, but the page around it is of
 * the same origin: a link of its own may.
 */
export function follow(link, target) {
  link.target = target;
  if (window.parent === window) return link;
  link.addEventListener("click", (event) => {
    event.preventDefault();
    const outer = window.parent.document.createElement("a");
    outer.href = link.href;
    outer.rel = "noopener noreferrer";
    outer.target = target === "_blank" || event.ctrlKey || event.metaKey ? "_blank" : "_self";
    outer.click();
  });
  return link;
}

export function duration(seconds) {
  if (!Number.isFinite(seconds) || seconds < 0) return null;
  const whole = Math.round(seconds);
  if (whole < 60) return seconds < 10 ? `${Math.round(seconds * 10) / 10} s` : `${whole} s`;
  const [hours, minutes, rest] = [Math.floor(whole / 3600), Math.floor((whole % 3600) / 60), whole % 60];
  const two = (number) => String(number).padStart(2, "0");
  return hours ? `${hours}:${two(minutes)}:${two(rest)} h` : `${minutes}:${two(rest)} min`;
}

export function size(bytes) {
  if (!Number.isFinite(bytes)) return null;
  const units = ["B", "KB", "MB", "GB", "TB"];
  let unit = 0;
  while (bytes >= 1000 && unit < units.length - 1) [bytes, unit] = [bytes / 1000, unit + 1];
  return `${unit && bytes < 10 ? bytes.toFixed(1) : Math.round(bytes)} ${units[unit]}`;
}

export function cost(value) {
  if (!value) return null;
  if (typeof value.amount !== "number") return `cost unknown (${value.unit})`;
  const unit = String(value.unit);
  return unit.toLowerCase() === "usd" ? `$${+value.amount.toFixed(4)}` : `${+value.amount.toFixed(4)} ${unit}`;
}

export function ago(time, now) {
  const seconds = (now - Date.parse(time)) / 1000;
  if (!(seconds >= 0)) return null;
  if (seconds < 5) return "just now";
  for (const [unit, length] of [["day", 86400], ["hour", 3600], ["minute", 60]]) {
    const count = Math.floor(seconds / length);
    if (count) return `${count} ${unit}${count === 1 ? "" : "s"} ago`;
  }
  return `${Math.floor(seconds)} s ago`;
}
