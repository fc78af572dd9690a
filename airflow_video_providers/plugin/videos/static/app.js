// SPDX-License-Identifier: Apache-2.0
// The page: cards in the order of what happened last, filters, and refreshing while renders run.

import { Card, STATES, isMoving, keyOf } from "./card.js";
import { airflowUrl, element, follow } from "./dom.js";
import { waitFor } from "./thumbnail.js";

const FIRST = 24;
const MOST = 100;
const SOON = 4000;
const LATER = 20000;
const FILTERS = ["state", "vendor", "dag_id", "run_id"];

const $ = (id) => document.getElementById(id);
const cards = new Map();
let wanted = readFilters();
let cursor = null;
let loading = false;
let generation = 0;
let timer = null;
let counts = null;
let counted = 0;

// ---------------------------------------------------------------- what Airflow's API server tells

async function ask(path, query) {
  const given = Object.entries(query).filter(([, value]) => value !== null && value !== "");
  const response = await fetch(`${path}?${new URLSearchParams(given)}`, { headers: { Accept: "application/json" } });
  if (response.ok) return response.json();
  if (response.status === 401) throw new Error("Your session has ended: reload the page to sign in again.");
  if (response.status === 403) throw new Error("Airflow does not let you read XComs, which this page shows.");
  throw new Error(`Airflow's API server answers ${response.status}.`);
}

async function loadMore() {
  if (loading || (cards.size && !cursor)) return;
  const mine = generation;
  loading = true;
  try {
    const page = await ask("api/renders", { ...wanted, cursor, limit: FIRST });
    if (mine !== generation) return;
    cursor = page.next;
    for (const render of page.renders) put(render, false);
    complain(null);
    report();
  } catch (error) {
    complain(error);
  } finally {
    if (mine === generation) loading = false;
  }
  if (mine === generation && cursor && endIsNear()) loadMore();
}

/** Ask again for what may have changed: the newest records come first, and moving renders are among them. */
async function refresh() {
  clearTimeout(timer);
  if (!document.hidden && !loading) {
    const mine = generation;
    try {
      const limit = Math.min(MOST, Math.max(FIRST, cards.size));
      const page = await ask("api/renders", { ...wanted, limit });
      const more = Date.now() - counted >= LATER ? await count() : null;
      if (mine !== generation) return;
      counts = more || counts;
      for (const render of page.renders.reverse()) put(render, true);
      if (wanted.state) dropWhatLeft(page);
      complain(null);
      report();
    } catch (error) {
      complain(error);
    }
  }
  schedule();
}

function count() {
  counted = Date.now();
  return ask("api/counts", { dag_id: wanted.dag_id, run_id: wanted.run_id });
}

function schedule() {
  clearTimeout(timer);
  const moving = [...cards.values()].some((card) => isMoving(card.render));
  timer = setTimeout(refresh, moving ? SOON : LATER);
}

/** A card that has another state by now does not belong under the filter any more. */
function dropWhatLeft(page) {
  if (page.next) return;
  const there = new Set(page.renders.map(keyOf));
  for (const [key, card] of cards) {
    if (there.has(key)) continue;
    card.node.remove();
    cards.delete(key);
  }
}

// ---------------------------------------------------------------- cards

function put(render, first) {
  const key = keyOf(render);
  const known = cards.get(key);
  if (known) {
    if (Date.parse(render.seen_at) >= Date.parse(known.render.seen_at)) known.update(render);
    return;
  }
  const card = new Card(render);
  cards.set(key, card);
  if (first) $("cards").prepend(card.node);
  else $("cards").append(card.node);
}

function report() {
  const filtered = FILTERS.some((name) => wanted[name]);
  $("empty").hidden = Boolean(cards.size || filtered);
  $("nothing").hidden = Boolean(cards.size || !filtered);
  $("filters").hidden = !cards.size && !filtered;
  const all = counts ? Object.values(counts.state).reduce((sum, count) => sum + count, 0) : null;
  const moving = [...cards.values()].filter((card) => isMoving(card.render)).length;
  $("summary").textContent = all === null ? "" : `${all.toLocaleString("en")} ${all === 1 ? "render" : "renders"}`
    + (moving ? ` · ${moving} in progress, refreshing` : "");
  showFilters();
}

function complain(error) {
  $("problem").hidden = !error;
  $("problem").textContent = error ? error.message : "";
}

// ---------------------------------------------------------------- filters

function readFilters() {
  const query = new URLSearchParams(location.search);
  return Object.fromEntries(FILTERS.map((name) => [name, query.get(name) || null]));
}

function choose(change) {
  wanted = { ...wanted, ...change };
  const query = new URLSearchParams(Object.entries(wanted).filter(([, value]) => value));
  history.replaceState(null, "", `${location.pathname}${query.size ? `?${query}` : ""}`);
  start();
}

function showFilters() {
  if (!counts) return;
  const key = JSON.stringify([counts, wanted]);
  if (key === showFilters.key) return;
  showFilters.key = key;
  const states = [...STATES, ...Object.keys(counts.state).filter((state) => !STATES.includes(state))];
  $("states").replaceChildren(
    chip("all", null, null),
    ...states.filter((state) => counts.state[state] || wanted.state === state)
      .map((state) => chip(state, state, counts.state[state] || 0)));
  options("vendor", "all vendors", counts.vendor);
  options("dag_id", "all DAGs", counts.dag_id);
  $("run").hidden = !wanted.run_id;
  $("run").textContent = `run ${wanted.run_id} ✕`;
}

function chip(text, state, count) {
  return element("button", { type: "button", class: `chip ${state || ""}`, "aria-pressed": String(wanted.state === state),
    onclick: () => choose({ state }) }, count === null ? text : `${text} ${count.toLocaleString("en")}`);
}

function options(name, all, found) {
  const select = $(name);
  if (select === document.activeElement && select.matches(":open")) return;
  const values = new Set([...Object.keys(found), ...(wanted[name] ? [wanted[name]] : [])]);
  select.replaceChildren(
    element("option", { value: "" }, all),
    ...[...values].sort().map((value) => element("option", { value, selected: value === wanted[name] }, value)));
}

// ---------------------------------------------------------------- the page itself

/** Follow the theme that is chosen in Airflow's UI, else that of the system. */
function theme() {
  let chosen = null;
  try {
    chosen = localStorage.getItem("theme");
  } catch { /* no storage: the system's */ }
  const system = matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
  document.documentElement.dataset.theme = chosen === "dark" || chosen === "light" ? chosen : system;
}

function endIsNear() {
  return $("end").getBoundingClientRect().top < innerHeight + 600;
}

async function start() {
  generation += 1;
  loading = false;
  cursor = null;
  cards.clear();
  $("cards").replaceChildren();
  const mine = generation;
  const told = loadMore().then(() => (mine === generation ? tell(mine) : null));
  waitFor(told);
  await told;
  if (mine === generation) schedule();
}

async function tell(mine) {
  try {
    const fresh = await count();
    if (mine !== generation) return;
    counts = fresh;
    report();
  } catch (error) {
    complain(error);
  }
}

theme();
addEventListener("storage", theme);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", theme);
for (const link of document.querySelectorAll("[data-airflow]")) {
  link.href = airflowUrl(link.dataset.airflow);
  follow(link, "_top");
}
$("vendor").addEventListener("change", (event) => choose({ vendor: event.target.value || null }));
$("dag_id").addEventListener("change", (event) => choose({ dag_id: event.target.value || null, run_id: null }));
$("run").addEventListener("click", () => choose({ run_id: null }));
$("all").addEventListener("click", () => choose(Object.fromEntries(FILTERS.map((name) => [name, null]))));
document.addEventListener("visibilitychange", () => { if (!document.hidden) refresh(); });
new IntersectionObserver((entries) => { if (entries.some((entry) => entry.isIntersecting)) loadMore(); },
  { rootMargin: "600px" }).observe($("end"));
setInterval(() => { for (const card of cards.values()) card.tick(); }, 1000);
start();
