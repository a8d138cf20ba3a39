// The form that sends an operation's request and shows what comes back.
import { codeBox, colours, el, pretty } from "./dom.js";
import { freshen, valueOf } from "./defaults.js";
import { deref, sample } from "./schema.js";

const tokenKey = "preceptor.token";

// token is what the box at the top holds; it never leaves this tab but in requests.
export const token = {
  get: () => sessionStorage.getItem(tokenKey) || "",
  set: (value) => (value ? sessionStorage.setItem(tokenKey, value) : sessionStorage.removeItem(tokenKey)),
};

const quote = (text) => `'${text.replaceAll("'", `'\\''`)}'`;

// curl spells a request for a shell. The token stays a variable: snippets get shared.
export function curl({ method, path, headers, body }) {
  const json = body && headers["Content-Type"] === "application/json";
  const implied = method === (body ? "POST" : "GET");
  const lines = [`curl ${implied ? "" : `-X ${method} `}${quote(location.origin + path)}`, `-H "Authorization: Bearer $TOKEN"`];
  for (const [name, value] of Object.entries(headers)) {
    if (!json || name !== "Content-Type") lines.push(`-H ${quote(`${name}: ${value}`)}`);
  }
  if (headers.Accept === "text/event-stream") lines[0] = lines[0].replace("curl ", "curl -N ");
  if (body) lines.push(`${json ? "--json" : "--data-binary"} ${quote(body)}`);
  return lines.join(" \\\n  ");
}

// bodyOf is what an operation's body may begin as, for a media type.
export function bodyOf(api, op, media) {
  const content = op.requestBody?.content[media];
  if (!content) return "";
  if (typeof content.example === "string") return content.example;
  return JSON.stringify(freshen(structuredClone(content.example ?? sample(api, content.schema))), null, 2);
}

// tryIt makes the form and the places for its answer. changed is told of every
// change of the request.
export function tryIt(api, method, path, op, changed) {
  const fields = (op.parameters || []).map((p) => field(api, op, method, p));
  const media = Object.keys(op.requestBody?.content || {});
  const type = media.length > 1 && el("select", { "aria-label": "Content type of the body" }, media.map((m) => el("option", {}, m)));
  const body = media.length > 0 && el("textarea", { spellcheck: false, rows: 8, "aria-label": "Body", value: bodyOf(api, op, media[0]) });
  if (body) body.rows = Math.min(18, Math.max(3, body.value.split("\n").length));
  const streams = Boolean(op.responses["200"]?.content?.["text/event-stream"]);
  const read = () => request(method, path, fields, body ? body.value : "", body ? (type ? type.value : media[0]) : "", streams);
  const out = el("div", { class: "result", role: "status", "aria-live": "polite" });
  const send = el("button", { type: "submit", class: "send" }, streams ? "Open the stream" : "Send");
  const stop = streams && el("button", { type: "button", class: "quiet", hidden: true }, "Stop");
  const form = el("form", { class: "try" },
    fields.map((f) => f.node),
    body && el("label", { class: "body" }, el("span", { class: "legend" }, "Body ", type || el("code", {}, media[0])), body),
    el("div", { class: "buttons" }, send, stop, el("span", { class: "note" }, "sent to this server, with the token above")), out);
  const changes = () => changed(read());
  form.addEventListener("input", changes);
  if (type) type.addEventListener("change", () => { body.value = bodyOf(api, op, type.value); changes(); });
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const missing = fields.find((f) => f.required && !f.input.value);
    if (missing) {
      missing.input.focus();
      return;
    }
    send.disabled = true;
    await (streams ? follow(read(), out, stop) : once(read(), out));
    send.disabled = false;
  });
  changes();
  return form;
}

function field(api, op, method, p) {
  const { schema } = deref(api, p.schema);
  const id = `${op.operationId}-${p.in}-${p.name}`;
  const shared = { id, required: p.required, "aria-describedby": `${id}-about` };
  const input = schema.enum || schema.type === "boolean"
    ? el("select", shared, el("option", { value: "" }, "not sent"), (schema.enum?.slice(1) || ["true", "false"]).map((v) => el("option", {}, v)))
    : el("input", { ...shared, type: schema.type === "integer" ? "number" : "text", spellcheck: false, autocomplete: "off", placeholder: p.required ? "" : "not sent" });
  input.value = valueOf(op, method, p);
  return {
    ...p,
    input,
    node: el("div", { class: "field" },
      el("label", { for: id }, el("code", {}, p.name), el("span", { class: "in" }, p.in), p.required && el("span", { class: "required" }, "required")),
      input, el("span", { id: `${id}-about`, class: "hidden" }, p.description || "")),
  };
}

function request(method, template, fields, body, contentType, streams) {
  const headers = {};
  const query = new URLSearchParams();
  let path = template;
  for (const f of fields) {
    const value = f.input.value;
    if (f.in === "path") path = path.replace(`{${f.name}}`, value ? encodeURIComponent(value) : `{${f.name}}`);
    else if (value && f.in === "query") query.append(f.name, value);
    else if (value) headers[f.name] = value;
  }
  if (streams) headers.Accept = "text/event-stream";
  if (body) headers["Content-Type"] = contentType;
  const search = query.toString();
  return { method: method.toUpperCase(), path: search ? `${path}?${search}` : path, headers, body };
}

function fetchOf(r, signal) {
  const headers = new Headers(r.headers);
  if (token.get()) headers.set("Authorization", `Bearer ${token.get()}`);
  return fetch(r.path, { method: r.method, headers, body: r.body || undefined, signal, cache: "no-store" });
}

// statusLine shows the status, and what a batch did not store: its status is 200 all the same.
function statusLine(res, started, text = "") {
  const refused = res.ok ? notStored(text) : [];
  const kind = (res.ok || res.status === 304) && refused.length === 0 ? "good" : "bad";
  const reasons = [...new Set(refused.map((r) => `${r.status} ${r.reason}`))].join(", ");
  return el("p", { class: `status ${kind}` }, el("strong", {}, `${res.status} ${res.statusText}`), ` in ${Math.round(performance.now() - started)} ms`,
    refused.length > 0 && el("strong", {}, `, but ${refused.length} of the events ${refused.length === 1 ? "is" : "are"} not stored: ${reasons}`));
}

// notStored returns the results of a batch that are REJECTED or RETRY.
function notStored(text) {
  try {
    const { results } = JSON.parse(text);
    return Array.isArray(results) ? results.filter((r) => r.status === "REJECTED" || r.status === "RETRY") : [];
  } catch {
    return [];
  }
}

function headerList(res) {
  return el("details", { class: "headers" }, el("summary", {}, "Headers"),
    el("dl", {}, [...res.headers].map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, value)))));
}

async function once(r, out) {
  const started = performance.now();
  try {
    const res = await fetchOf(r);
    const text = await res.text();
    const isJSON = (res.headers.get("Content-Type") || "").includes("json");
    const box = text && codeBox(res.headers.get("Content-Type") || "Body", isJSON ? pretty(text) : text, isJSON ? "json" : "");
    out.replaceChildren(statusLine(res, started, text), box || el("p", { class: "note" }, "No body."), headerList(res));
  } catch (err) {
    out.replaceChildren(el("p", { class: "status bad" }, `The request did not get through: ${err.message}`));
  }
}

// follow shows a stream of server-sent events as it comes.
async function follow(r, out, stop) {
  const started = performance.now();
  const abort = new AbortController();
  stop.onclick = () => abort.abort();
  stop.hidden = false;
  try {
    const res = await fetchOf(r, abort.signal);
    if (!res.ok) {
      const text = await res.text();
      out.replaceChildren(statusLine(res, started), codeBox("Problem", pretty(text), "json"));
      return;
    }
    const log = el("div", { class: "log", role: "log", tabIndex: 0, "aria-label": "Events" });
    out.replaceChildren(statusLine(res, started), log, headerList(res));
    await read(res.body, (block) => {
      const atEnd = log.scrollTop + log.clientHeight >= log.scrollHeight - 8;
      log.append(el("div", { class: block.startsWith(":") ? "beat" : "event" },
        el("time", {}, new Date().toLocaleTimeString()), el("pre", {}, colours(block))));
      if (atEnd) log.scrollTop = log.scrollHeight;
    });
    log.append(el("div", { class: "beat" }, "the server ended the stream"));
  } catch (err) {
    if (!abort.signal.aborted) out.append(el("p", { class: "status bad" }, `The stream broke: ${err.message}`));
    else out.append(el("p", { class: "note" }, "Stopped."));
  } finally {
    stop.hidden = true;
  }
}

async function read(stream, show) {
  const reader = stream.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const blocks = (rest + value).split("\n\n");
    rest = blocks.pop();
    blocks.filter(Boolean).forEach(show);
  }
}
