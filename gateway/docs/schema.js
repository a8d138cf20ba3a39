// Shows schemas as trees that open a level at a time, and makes bodies of them.
import { uuid } from "./defaults.js";
import { el, inline } from "./dom.js";

// deref follows a reference; a description beside it overrides that of its target.
export function deref(api, schema) {
  if (!schema?.$ref) return { schema: schema || {}, name: "" };
  const name = schema.$ref.split("/").pop();
  const { $ref, ...beside } = schema;
  return { schema: { ...api.components.schemas[name], ...beside }, name };
}

// typeOf names a type for people.
function typeOf(api, given) {
  const { schema, name } = deref(api, given);
  if (schema.type === "array") return `list of ${typeOf(api, schema.items)}`;
  if (schema.enum) return "enum";
  if (schema.oneOf) return "one of several";
  if (name) return name;
  const formats = { "date-time": "time", uuid: "UUID", int64: "int64 as string" };
  return formats[schema.format] || schema.type || "anything";
}

// limits are what a value must keep to, beyond its type.
function limits(schema) {
  const all = [];
  const between = (low, high, unit) => {
    if (low !== undefined && high !== undefined) all.push(`${low} to ${high}${unit}`);
    else if (high !== undefined) all.push(`at most ${high}${unit}`);
    else if (low !== undefined) all.push(`at least ${low}${unit}`);
  };
  between(schema.minLength, schema.maxLength, " characters");
  between(schema.minItems, schema.maxItems, " items");
  // A minimum just above 0 is how the document says "more than 0".
  if (schema.minimum === Number.MIN_VALUE) all.push("more than 0");
  between(schema.minimum === Number.MIN_VALUE ? undefined : schema.minimum, schema.maximum, "");
  if (schema.default !== undefined) all.push(`${schema.default} when not sent`);
  return all;
}

// row shows one value: its name, type, limits, description and members. In a response it is
// not required but always there.
export function row(api, name, given, required, description, responded) {
  const { schema } = deref(api, given);
  const notes = limits(schema);
  const values = schema.enum || (schema.type === "array" && deref(api, schema.items).schema.enum);
  return el("div", { class: "row" },
    el("div", { class: "head" },
      el("code", { class: "name" }, name),
      el("span", { class: "type" }, typeOf(api, given)),
      required && (responded ? el("span", { class: "limit" }, "always there") : el("span", { class: "required" }, "required")),
      schema.readOnly && el("span", { class: "readonly" }, "read only"),
      notes.map((n) => el("span", { class: "limit" }, n))),
    (description || schema.description) && el("p", { class: "about" }, inline(description || schema.description)),
    schema.pattern && schema.format !== "int64" && el("p", { class: "pattern" }, "matches ", el("code", {}, schema.pattern)),
    values && el("p", { class: "values" }, values.map((v) => el("code", {}, v))),
    inner(api, schema, responded));
}

// inner opens what an object or a list of objects holds, when asked to.
function inner(api, schema, responded) {
  const holder = schema.type === "array" ? deref(api, schema.items).schema : schema;
  if (!holder.properties) return null;
  const details = el("details", { class: "inner" }, el("summary", {}, `${Object.keys(holder.properties).length} members`));
  details.addEventListener("toggle", () => {
    if (details.open && details.childElementCount === 1) details.append(tree(api, holder, responded));
  });
  return details;
}

// tree shows the members of an object, of a request or a response.
export function tree(api, given, responded) {
  const { schema } = deref(api, given);
  if (schema.oneOf) return el("div", { class: "tree" }, schema.oneOf.map((s, i) => row(api, i ? "or" : "either", s, false, "", responded)));
  if (!schema.properties) return el("div", { class: "tree" }, row(api, "", schema, false, "", responded));
  const required = schema.required || [];
  return el("div", { class: "tree" },
    Object.entries(schema.properties).map(([name, s]) => row(api, name, s, required.includes(name), "", responded)));
}

// sample makes a value that a body may begin as.
export function sample(api, given, depth = 0) {
  const { schema } = deref(api, given);
  if (schema.oneOf) return sample(api, schema.oneOf[0], depth);
  if (schema.enum) return schema.enum[1] || schema.enum[0];
  switch (schema.type) {
    case "object": {
      const members = Object.entries(schema.properties || {}).filter(([, s]) => !deref(api, s).schema.readOnly);
      return depth > 3 ? {} : Object.fromEntries(members.map(([name, s]) => [name, sample(api, s, depth + 1)]));
    }
    case "array":
      return depth > 3 ? [] : [sample(api, schema.items, depth + 1)];
    case "integer":
    case "number":
      return schema.minimum === Number.MIN_VALUE ? 1 : schema.minimum || 0;
    case "boolean":
      return false;
    default:
      if (schema.format === "date-time") return new Date().toISOString().replace(/\.\d+/, "");
      if (schema.format === "uuid") return uuid();
      return schema.format === "int64" ? "0" : "";
  }
}
