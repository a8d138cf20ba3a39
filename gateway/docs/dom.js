// Small pieces of page: elements, copy buttons, coloured JSON. Nothing here puts
// text into the page as HTML.

// el makes an element. Properties that are functions are listeners; class, data-*,
// aria-* and the like are attributes; the rest are properties.
export function el(tag, properties = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null || value === false) continue;
    if (typeof value === "function") node.addEventListener(name, value);
    else if (name.includes("-") || ["class", "for", "role", "href", "open", "list"].includes(name)) node.setAttribute(name, value === true ? "" : value);
    else node[name] = value;
  }
  node.append(...children.flat(Infinity).filter((c) => c !== undefined && c !== null && c !== false));
  return node;
}

// prose makes paragraphs of text, with `code` as code.
export function prose(text, cls) {
  return (text || "").split(/\n\n+/).filter(Boolean).map((paragraph) => el("p", { class: cls }, inline(paragraph)));
}

// inline makes `code` stand out.
export function inline(text) {
  return text.split(/(`[^`]+`)/).map((part) => (part.startsWith("`") && part.length > 2 ? el("code", {}, part.slice(1, -1)) : part));
}

// copyButton copies what text() gives at the time.
export function copyButton(text) {
  const button = el("button", { type: "button", class: "quiet copy", "aria-live": "polite" }, "Copy");
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(text());
      button.textContent = "Copied";
    } catch {
      button.textContent = "Select it by hand";
    }
    setTimeout(() => { button.textContent = "Copy"; }, 1600);
  });
  return button;
}

// codeBox is a titled block of code whose text can be replaced.
export function codeBox(title, text, language) {
  const code = el("code");
  let current = "";
  const box = el("figure", { class: "code" },
    el("figcaption", {}, el("span", {}, title), copyButton(() => current)),
    el("pre", { tabIndex: 0 }, code));
  box.set = (next) => {
    current = next;
    code.replaceChildren(...(language === "json" ? colours(next) : [next]));
  };
  box.set(text);
  return box;
}

const token = /("(?:[^"\\]|\\.)*")(\s*:)?|(-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)|\b(true|false|null)\b/g;

// colours makes spans of the parts of JSON text.
export function colours(text) {
  if (text.length > 30_000) return [text]; // an element for each word of so much text makes the page slow
  const parts = [];
  let end = 0;
  for (const m of text.matchAll(token)) {
    parts.push(text.slice(end, m.index));
    const kind = m[1] ? (m[2] ? "key" : "string") : m[3] ? "number" : "literal";
    parts.push(el("span", { class: kind }, m[1] || m[0]), m[2] || "");
    end = m.index + m[0].length;
  }
  parts.push(text.slice(end));
  return parts;
}

// pretty formats JSON, and leaves other text alone.
export function pretty(text) {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}
