// The page: reads /openapi.json and shows it, a group of operations after the other.
import { codeBox, el, prose } from "./dom.js";
import { row, tree } from "./schema.js";
import { bodyOf, curl, token, tryIt } from "./tryit.js";

const $ = (id) => document.getElementById(id);
const methods = ["get", "post", "put", "patch", "delete"];

const steps = [
  ["listPaths", "Find a learning path.", "Pick one by the role that it leads to.", "/v1/paths"],
  ["createEnrollment", "Enroll.", "The enrollment is pinned to the path's newest version: what comes later is offered, never forced in between.", "/v1/learners/me/enrollments"],
  ["batchRecordEvents", "Say what the learner did.", "Offline, keep the events and send them together. The same event sent twice counts once.", "/v1/learners/me/events:batch"],
  ["getPathProgress", "Ask how far that brings them.", "Percent, milestones, modules, what has expired, and what to go on with.", "/v1/learners/me/paths/clinical-ai-engineer/progress"],
  ["watchProgress", "Stay up to date.", "A stream of what happens on any of the learner's devices; it resumes where it broke.", "/v1/learners/me/progress:watch"],
];

// operationsOf lists what the description holds, in its order.
function operationsOf(api) {
  return Object.entries(api.paths).flatMap(([path, item]) =>
    methods.filter((m) => item[m]).map((method) => ({ path, method, op: item[method], id: item[method].operationId, tag: item[method].tags[0] })));
}

const badge = (method) => el("span", { class: `method ${method}` }, method.toUpperCase());

// breakable lets a long path break after its slashes, on a narrow screen.
const breakable = (path) => path.split(/(?<=\/)|(?=:)/).flatMap((part) => [part, el("wbr")]);

function showGuide(api, all) {
  $("version").textContent = api.info.version === "0.0.0" ? "" : api.info.version;
  $("steps").append(...steps.map(([id, title, text, path]) => {
    const found = all.find((o) => o.id === id);
    if (!found) return "";
    const media = Object.keys(found.op.requestBody?.content || {})[0];
    const headers = media ? { "Content-Type": media } : {};
    if (id === "watchProgress") headers.Accept = "text/event-stream";
    const body = media ? JSON.stringify(JSON.parse(bodyOf(api, found.op, media))) : "";
    return el("li", {},
      el("h3", {}, title),
      el("a", { href: `#${id}` }, found.op.summary),
      el("p", {}, text),
      codeBox(`${found.method.toUpperCase()} ${path}`, curl({ method: found.method.toUpperCase(), path, headers, body })));
  }));
  const problem = api.components.schemas.Problem?.example;
  if (problem) $("problem").append(codeBox("A problem", JSON.stringify(problem, null, 2), "json"));
}

function showIndex(api, all) {
  $("links").append(...api.tags.map((tag) => el("section", { class: "group" },
    el("h2", {}, tag.name),
    el("ul", {}, all.filter((o) => o.tag === tag.name).map((o) =>
      el("li", { "data-words": words(o) }, el("a", { href: `#${o.id}`, title: o.path }, badge(o.method), el("span", {}, o.op.summary))))))));
}

const words = (o) => `${o.op.summary} ${o.method} ${o.path} ${o.id} ${o.tag}`.toLowerCase();

function showOperations(api, all) {
  $("operations").append(...api.tags.map((tag) => el("section", { class: "tag", "aria-label": tag.name },
    el("h2", {}, tag.name), prose(tag.description, "lead"),
    all.filter((o) => o.tag === tag.name).map((o) => card(api, o)))));
}

// card is one operation; what is in it is made when it is first opened.
function card(api, o) {
  const details = el("details", { id: o.id, class: "operation", "data-words": words(o) },
    el("summary", {}, badge(o.method), el("h3", {}, el("code", {}, breakable(o.path))), el("span", { class: "what" }, o.op.summary)));
  details.addEventListener("toggle", () => {
    if (details.open && details.childElementCount === 1) details.append(inside(api, o));
  });
  return details;
}

function inside(api, { path, method, op }) {
  const request = codeBox("curl", "");
  const form = tryIt(api, method, path, op, (r) => request.set(curl(r)));
  const [status, success] = Object.entries(op.responses).find(([code]) => code.startsWith("2"));
  const content = Object.entries(success.content || {});
  const [, best] = content.find(([, c]) => c.example !== undefined) || content[0] || [];
  const example = best?.example;
  return el("div", { class: "inside" },
    el("div", { class: "words" },
      prose(op.description),
      op.parameters && section("Parameters", el("div", { class: "tree" },
        op.parameters.map((p) => row(api, p.name, p.schema, p.required, `${p.description || ""}${p.in === "path" ? "" : ` (${p.in})`}`)))),
      op.requestBody && section("Body", Object.entries(op.requestBody.content).map(([media, c]) => [el("p", { class: "media" }, el("code", {}, media)), tree(api, c.schema)])),
      section(`Answer ${status}`, prose(success.description),
        Object.keys(success.headers || {}).length > 0 && el("p", { class: "note" }, "with headers ", Object.keys(success.headers).map((h) => [el("code", {}, h), " "])),
        content.map(([media, c]) => [el("p", { class: "media" }, el("code", {}, media)), tree(api, c.schema, true)])),
      section("Other responses", el("dl", { class: "others" }, Object.entries(op.responses).filter(([code]) => code !== status).map(([code, r]) =>
        el("div", {}, el("dt", {}, code), el("dd", {}, response(api, r).description)))))),
    el("div", { class: "code-side" },
      request,
      example !== undefined && codeBox(`Answer ${status}`, typeof example === "string" ? example : JSON.stringify(example, null, 2), typeof example === "string" ? "" : "json"),
      el("h4", {}, "Try it"), form));
}

const response = (api, r) => (r.$ref ? api.components.responses[r.$ref.split("/").pop()] : r);
const section = (title, ...children) => el("section", {}, el("h4", {}, title), children);

// listReasons makes the reasons of the page ones that a search finds, here and in the index.
function listReasons() {
  for (const node of document.querySelectorAll(".reasons > div")) {
    const reason = node.firstChild.textContent;
    node.dataset.words = `${reason} ${reason.replaceAll("_", " ")} ${node.textContent}`.toLowerCase();
    $("found-reasons").append(el("li", { "data-words": node.dataset.words }, el("a", { href: `#${node.id}` }, el("code", {}, reason))));
  }
}

// search shows what holds every word of the query. Reasons are in the index only while one searches.
function search(query) {
  const wanted = query.toLowerCase().split(/\s+/).filter(Boolean);
  const searching = wanted.length > 0;
  let hits = 0;
  for (const node of document.querySelectorAll("[data-words]")) {
    node.hidden = !wanted.every((w) => node.dataset.words.includes(w));
    if (!node.hidden) hits++;
  }
  for (const group of document.querySelectorAll(".group, .tag, .reason-group")) group.hidden = !group.querySelector("[data-words]:not([hidden])");
  $("found").hidden ||= !searching;
  $("nothing").hidden = hits > 0;
  for (const intro of ["guide", "rules", "errors-intro"]) $(intro).hidden = searching;
  $("errors").hidden = !document.querySelector(".reasons > div:not([hidden])");
}

// visit opens what the address names.
function visit() {
  const target = $(decodeURIComponent(location.hash.slice(1)));
  if (!target) return;
  // The index covers a narrow screen: who chose there wants the page whole again.
  if (target.closest("[hidden]") || $("index").classList.contains("shown")) {
    $("search").value = "";
    search("");
  }
  if (target.tagName === "DETAILS") target.open = true;
  for (const link of document.querySelectorAll(".index a")) {
    if (link.hash === location.hash) link.setAttribute("aria-current", "true");
    else link.removeAttribute("aria-current");
  }
  document.querySelector(".index a[aria-current]")?.scrollIntoView({ block: "nearest" });
  closeMenu();
  target.scrollIntoView();
}

function closeMenu() {
  $("index").classList.remove("shown");
  $("menu").setAttribute("aria-expanded", "false");
}

function listen() {
  $("token").value = token.get();
  $("token").addEventListener("input", () => token.set($("token").value.trim().replace(/^Bearer\s+/i, "")));
  $("token-form").addEventListener("submit", (e) => e.preventDefault());
  $("search").addEventListener("input", () => search($("search").value));
  $("menu").addEventListener("click", () => {
    const shown = $("index").classList.toggle("shown");
    $("menu").setAttribute("aria-expanded", String(shown));
  });
  document.addEventListener("keydown", (e) => {
    const typing = /^(INPUT|TEXTAREA|SELECT)$/.test(document.activeElement?.tagName || "");
    if (e.key === "/" && !typing) {
      e.preventDefault();
      $("index").classList.add("shown");
      $("menu").setAttribute("aria-expanded", "true");
      $("search").focus();
    } else if (e.key === "Escape" && document.activeElement === $("search") && $("search").value) {
      $("search").value = "";
      search("");
    } else if (e.key === "Escape" && $("index").classList.contains("shown")) {
      closeMenu();
      $("menu").focus();
    }
  });
  // A link to where one is already opens it again.
  document.addEventListener("click", (e) => {
    const link = e.target.closest('a[href^="#"]');
    if (link && link.hash === location.hash) visit();
  });
  addEventListener("hashchange", visit);
}

async function main() {
  listen();
  listReasons();
  try {
    const res = await fetch("/openapi.json");
    if (!res.ok) throw new Error(`${res.status} ${res.statusText}`);
    const api = await res.json();
    const all = operationsOf(api);
    showGuide(api, all);
    showIndex(api, all);
    showOperations(api, all);
    visit();
  } catch (err) {
    $("failed").hidden = false;
    $("failed").textContent = `The description could not be read: ${err.message}`;
  }
}

main();
