// SPDX-License-Identifier: Apache-2.0
// One card: what is known of a render, brought up to date in place.

import { ago, airflowLink, cost, duration, element, outerLink, size } from "./dom.js";
import { fileUrl, filmOf, show } from "./player.js";
import { showThumbnail } from "./thumbnail.js";

export const STATES = ["queued", "running", "succeeded", "failed", "cancelled"];
const TERMINAL = ["succeeded", "failed", "cancelled"];

/** What tells a render apart from all others. */
export function keyOf(render) {
  const which = render.kind === "bulk" ? [render.task_id, render.map_index] : [render.vendor, render.job_id];
  return JSON.stringify([render.dag_id, render.run_id, render.kind, ...which]);
}

/** Whether more is to come: the render goes on, or its run can still store it. */
export function isMoving(render) {
  if (!render.live) return false;
  return !TERMINAL.includes(render.state) || (render.state === "succeeded" && !filmOf(render));
}

export function titleOf(render) {
  if (render.kind === "bulk") return render.map_name || render.task_id;
  const label = render.map_name?.replace(` · ${render.vendor}`, "");  // the vendor is shown beside it
  return render.name || label || render.job_id;
}

export class Card {
  constructor(render) {
    this.media = element("div", { class: "media" });
    this.text = element("div", { class: "text" });
    this.node = element("article", { class: "card" }, this.media, this.text);
    this.update(render);
  }

  update(render) {
    const now = JSON.stringify(render);
    if (now === this.known) return;
    const files = JSON.stringify([render.files, render.state, titleOf(render)]);
    this.render = render;
    this.known = now;
    this.node.dataset.state = render.state;
    if (files !== this.files) {
      this.files = files;
      this.media.replaceChildren(...this.pictures());
    }
    this.text.replaceChildren(...this.lines());
  }

  /** Bring what depends on the time alone up to date. */
  tick() {
    const line = this.text.querySelector(".progress-text");
    if (line) line.textContent = progressText(this.render);
  }

  pictures() {
    const render = this.render;
    const film = filmOf(render);
    const blank = element("div", { class: "blank", "aria-hidden": "true" }, sign(render));
    const picture = render.files.find((file) => file.kind === "thumbnail" || file.kind === "image");
    showThumbnail(this.media, picture ? fileUrl(render, picture) : null, film ? fileUrl(render, film) : null);
    if (!film) return [blank];
    const label = `Play ${titleOf(render)}`;
    return [blank, element("button", { class: "play", type: "button", title: label, "aria-label": label,
      onclick: () => show(this.render, titleOf(this.render)) }, "▶")];
  }

  lines() {
    const render = this.render;
    const title = titleOf(render);
    const badges = element("p", { class: "badges" },
      element("span", { class: `badge ${render.state}` }, stateText(render)),
      render.vendor ? element("span", { class: "badge vendor" }, render.vendor) : null,
      render.kind === "bulk" ? element("span", { class: "badge vendor" }, "bulk") : null);
    return [
      element("h2", { title }, title), badges, this.progress(), this.facts(), this.error(), this.links(), this.stored(),
    ].filter(Boolean);
  }

  progress() {
    const { state, progress } = this.render;
    if (TERMINAL.includes(state) || this.render.kind === "bulk") return null;
    const bar = element("progress", { max: 1, "aria-label": "Progress" });
    if (typeof progress === "number") bar.value = progress;
    return element("div", { class: "progress" }, bar,
      element("p", { class: "progress-text" }, progressText(this.render)));
  }

  facts() {
    const render = this.render;
    const film = filmOf(render);
    const bytes = render.files.reduce((sum, file) => sum + (file.size || 0), 0);
    const facts = render.kind === "bulk" ? bulkFacts(render.summary)
      : [film && duration(film.duration_seconds ?? NaN), bytes ? size(bytes) : null, cost(render.cost), tookText(render)];
    const known = facts.filter(Boolean);
    return known.length ? element("p", { class: "facts" }, known.join(" · ")) : null;
  }

  error() {
    const { error, state, kind } = this.render;
    if (!error && (state !== "failed" || kind === "bulk")) return null;
    const text = [error?.code && `[${error.code}]`, error?.message].filter(Boolean).join(" ");
    return element("p", { class: "error" }, text || "The vendor gives no reason.");
  }

  links() {
    const { dag_id, run_id, task_id, map_index, map_name, job_id, page_url, vendor } = this.render;
    const label = !map_name || map_name.includes(job_id) ? map_index : map_name.replace(` · ${vendor}`, "");
    const task = ["dags", dag_id, "runs", run_id, "tasks", task_id, ...(map_index >= 0 ? ["mapped", map_index] : [])];
    return element("p", { class: "links" },
      airflowLink(dag_id, "dags", dag_id, "runs", run_id),
      airflowLink(map_index >= 0 ? `${task_id} [${label}]` : task_id, ...task),
      page_url ? outerLink(`at ${vendor}`, page_url) : null);
  }

  stored() {
    const film = filmOf(this.render);
    const uri = film ? film.uri : this.render.manifest;
    if (!uri) return null;
    const button = element("button", { type: "button", class: "copy", title: "Copy the address of the object",
      onclick: () => copy(uri, button) }, "Copy");
    return element("p", { class: "stored" }, element("code", { title: uri }, element("bdi", { dir: "ltr" }, uri)), button);
  }
}

/** The lines of the sign that stands for a state until there is a picture: no font has to have it. */
const SIGNS = {
  queued: "M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18M12 7v5l3 3",
  running: "M3 5h18v14H3zM7 5v14M17 5v14M3 9.5h4M3 14.5h4M17 9.5h4M17 14.5h4",
  succeeded: "M4 12.5l5 5L20 6.5",
  failed: "M12 3.5L22 20H2zM12 10v4.5M12 17.3v.2",
  cancelled: "M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18M8.5 8.5l7 7M15.5 8.5l-7 7",
  bulk: "M4 4h7v7H4zM13 4h7v7h-7zM4 13h7v7H4zM13 13h7v7h-7z",
};

function sign(render) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  svg.setAttribute("viewBox", "0 0 24 24");
  path.setAttribute("d", SIGNS[render.kind === "bulk" ? "bulk" : render.state] || "");
  svg.append(path);
  return svg;
}

async function copy(text, button) {
  try {
    await navigator.clipboard.writeText(text);
    button.textContent = "Copied";
  } catch {
    const code = button.previousElementSibling;
    getSelection().selectAllChildren(code);
    button.textContent = "Selected";
  }
  setTimeout(() => { button.textContent = "Copy"; }, 1500);
}

function stateText(render) {
  if (TERMINAL.includes(render.state)) return render.state;
  return render.live ? render.state : "not watched";
}

function progressText(render) {
  if (!render.live) return `last seen ${render.vendor_status} ${ago(render.seen_at, Date.now()) || ""}; its run has ended`;
  const { progress, stage, vendor_status: status } = render;
  const share = typeof progress === "number" ? `${Math.round(progress * 100)} %` : null;
  const left = leftSeconds(render);
  const rest = left === null ? null : left > 0 ? `about ${duration(Math.max(1, Math.round(left)))} left` : "any moment now";
  return [share, rest, stage || status].filter(Boolean).join(", ");
}

/** Estimate the seconds that are left from the progress that was seen; null where too little is known. */
export function leftSeconds(render, now = Date.now()) {
  const { progress, created_at: created, seen_at: seen } = render;
  if (!(progress >= 0.02) || progress >= 1 || !created) return null;
  const elapsed = (Date.parse(seen) - Date.parse(created)) / 1000;
  if (!(elapsed > 0)) return null;
  return (elapsed * (1 - progress)) / progress - (now - Date.parse(seen)) / 1000;
}

function tookText(render) {
  if (!TERMINAL.includes(render.state)) return `seen ${ago(render.seen_at, Date.now()) || "just now"}`;
  if (!render.finished_at || !render.created_at) return ago(render.seen_at, Date.now());
  const seconds = (Date.parse(render.finished_at) - Date.parse(render.created_at)) / 1000;
  const took = duration(seconds);
  return took ? `rendered in ${took}` : null;
}

function bulkFacts(summary) {
  if (!summary) return [];
  const counts = ["requested", "succeeded", "failed", "ambiguous", "cancelled"]
    .filter((name) => summary[name]).map((name) => `${summary[name]} ${name}`);
  return [...counts, summary.bytes ? size(summary.bytes) : null];
}
