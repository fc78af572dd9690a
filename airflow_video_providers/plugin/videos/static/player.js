// SPDX-License-Identifier: Apache-2.0
// The stored files of a render: their addresses, and the dialog that plays them.

import { duration, element, size } from "./dom.js";

const PLAYABLE = ["video", "audio", "thumbnail", "image"];

/** Return the file that a card plays: the first video, or the first sound. */
export function filmOf(render) {
  return render.files.find((file) => file.kind === "video") || render.files.find((file) => file.kind === "audio") || null;
}

/** Return the address of a stored file; the plugin checks who asks, and that the task has recorded it. */
export function fileUrl(render, file, more = {}) {
  const query = new URLSearchParams({ run_id: render.run_id, task_id: file.task_id, map_index: file.map_index,
    uri: file.uri, ...more });
  return `api/files/${encodeURIComponent(render.dag_id)}?${query}`;
}

/** Open the dialog with all files of a render, and play the first. */
export function show(render, title) {
  const dialog = document.getElementById("player");
  document.getElementById("player-title").textContent = title;
  const media = document.getElementById("player-media");
  const rows = render.files.map((file) => row(render, file, media));
  document.getElementById("player-files").replaceChildren(element("table", {}, element("tbody", {}, ...rows)));
  play(render, filmOf(render) || render.files[0], media);
  dialog.addEventListener("close", () => media.replaceChildren(), { once: true });  // stops the transfer, too
  dialog.onclick = (event) => { if (event.target === dialog) dialog.close(); };
  dialog.showModal();
}

function play(render, file, media) {
  const src = fileUrl(render, file);
  const sound = file.kind === "audio";
  const shown = file.kind === "thumbnail" || file.kind === "image" ? element("img", { src, alt: file.kind })
    : element(sound ? "audio" : "video", { src, controls: true, autoplay: true, playsInline: true });
  shown.addEventListener("error", () => explain(src, media));
  media.replaceChildren(shown);
}

/** Say why a file cannot be shown: the route says it in words. */
async function explain(src, media) {
  let text = "The browser cannot play this file; it can be downloaded.";
  try {
    const response = await fetch(src, { method: "GET", headers: { Range: "bytes=0-0" } });
    if (!response.ok) text = (await response.json()).detail || `Airflow answers ${response.status}.`;
  } catch { /* the first text says enough */ }
  media.replaceChildren(element("p", { class: "error" }, String(text)));
}

function row(render, file, media) {
  const name = file.label ? `${file.kind}: ${file.label}` : file.kind;
  const open = PLAYABLE.includes(file.kind)
    ? element("button", { type: "button", onclick: () => play(render, file, media) }, "Show") : null;
  const facts = [duration(file.duration_seconds ?? NaN), size(file.size ?? NaN)].filter(Boolean).join(" · ");
  return element("tr", {}, element("th", { scope: "row" }, name), element("td", {}, facts),
    element("td", { class: "uri" }, element("code", {}, file.uri)),
    element("td", { class: "acts" }, open,
      element("a", { href: fileUrl(render, file, { download: "true" }), download: "" }, "Download")));
}
