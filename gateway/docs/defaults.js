// What the forms begin with, so that the first request succeeds on a fresh server with the
// catalog that it starts with.

const byName = { path: "clinical-ai-engineer", module: "hipaa-foundations", number: "1", service: "progress" };

// Authors work on a module and a path of their own, in the order of publishing.
const note = { module: "deidentify-notes" };
const ready = { path: "notes-ready" };
const byOperation = {
  createModule: { moduleId: "deidentify-notes" },
  updateModule: note, previewModule: note, publishModule: note, archiveModule: note, restoreModule: note,
  createPath: { pathId: "notes-ready" },
  updatePath: ready, previewPath: ready, publishPath: ready, archivePath: ready, restorePath: ready,
};

// valueOf returns what a parameter's field begins with. What deletes or decides something for
// good is not filled in.
export function valueOf(op, method, p) {
  const own = byOperation[op.operationId]?.[p.name];
  if (own !== undefined) return own;
  if (method === "delete" || /mandate/i.test(op.operationId)) return p.name === "learner" ? p.example || "" : "";
  return p.example || (p.required && byName[p.name]) || "";
}

const day = 86_400_000;

const rfc3339 = (millis) => new Date(millis).toISOString().replace(/\.\d+/, "");

// freshen makes an example fit for sending now. Events get ids of their own, since the same id
// sent twice is the same event, and happened a minute ago; times that lie ahead lie ahead of
// now; an etag would be that of another resource.
export function freshen(value) {
  if (!value || typeof value !== "object") return value;
  delete value.etag;
  if (value.effectiveTime) delete value.effectiveTime;
  if (value.sunsetTime) value.sunsetTime = rfc3339(Date.now() + 180 * day);
  if (value.sentAt) value.sentAt = rfc3339(Date.now());
  for (const event of value.events || []) {
    event.eventId = uuid();
    event.occurredAt = rfc3339(Date.now() - 60_000);
  }
  return value;
}

// uuid returns a random UUID, also where the page came over plain HTTP and crypto.randomUUID is missing.
export function uuid() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const hex = Array.from(bytes, (b) => b.toString(16).padStart(2, "0")).join("");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
}
