// What an app does first, by the types that openapi-typescript generates from the document. It compiles
// under `strict` without a cast of what the server sends: what is always there is not optional.
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import createClient from "openapi-fetch";
import type { components, paths } from "./generated.js";

type Schemas = components["schemas"];

const url = env("PRECEPTOR_URL");
const tokens = JSON.parse(env("PRECEPTOR_TOKENS")) as { author: string; learner: string; admin: string };

function env(name: string): string {
  const value = process.env[name];
  if (value === undefined) throw new Error(`${name} is not set`);
  return value;
}

function clientOf(token: string) {
  return createClient<paths>({ baseUrl: url, headers: { Authorization: `Bearer ${token}` } });
}

// body is what a call returned, unless it failed.
function body<T>(called: { data?: T; error?: unknown; response: Response }): T {
  if (called.data === undefined) throw new Error(`${called.response.status}: ${JSON.stringify(called.error)}`);
  return called.data;
}

// problem is why a call failed.
function problem(called: { error?: Schemas["Problem"]; response: Response }): Schemas["Problem"] {
  if (called.error === undefined) throw new Error(`${called.response.status}, and no problem`);
  assert.equal(called.response.headers.get("X-Request-Id"), called.error.requestId);
  return called.error;
}

const module = "typed-basics";
const path = "typed-path";

async function publish(): Promise<void> {
  const author = clientOf(tokens.author);
  const content: Schemas["ModuleVersionInput"] = {
    title: "Basics",
    units: [
      { id: "phi", title: "PHI", kind: "READING" },
      { id: "quiz", title: "Quiz", kind: "QUIZ", masteryScore: 0.8 },
    ],
  };
  const created = await author.POST("/v1/modules", { params: { query: { moduleId: module } }, body: content });
  const draft = body(created);
  assert.equal(draft.state, "DRAFT");
  assert.equal(created.response.headers.get("Location"), `/v1/modules/${draft.id}`);
  const edit = { params: { path: { module }, header: { "If-Match": `"${draft.etag}"` } }, body: { title: "The basics" } };
  const edited = body(await author.PATCH("/v1/modules/{module}", edit));
  assert.equal(problem(await author.PATCH("/v1/modules/{module}", edit)).reason, "ETAG_MISMATCH");
  body(await author.POST("/v1/modules/{module}:publish", { params: { path: { module } }, body: { etag: edited.etag } }));
  const milestones = [{ id: "begin", title: "Begin", groups: [{ moduleIds: [module] }] }];
  body(await author.POST("/v1/paths", { params: { query: { pathId: path } }, body: { title: "From the start", milestones } }));
  body(await author.POST("/v1/paths/{path}:publish", { params: { path: { path } }, body: {} }));
}

async function learn(): Promise<string> {
  const app = clientOf(tokens.learner);
  const me = { learner: "me" };
  const learner = body(await app.GET("/v1/learners/{learner}", { params: { path: me } }));
  const found = body(await app.GET("/v1/paths", { params: { query: { q: "start", pageSize: 200 } } }));
  assert.deepEqual(found.paths.map((p) => p.id), [path]);
  const enrollment: Schemas["Enrollment"] = body(
    await app.POST("/v1/learners/{learner}/enrollments", { params: { path: me }, body: { pathId: path } }));
  const at: { id: string; state: string; since: string; etag: string } = {
    id: enrollment.id, state: enrollment.state, since: enrollment.enrollTime, etag: enrollment.etag,
  };
  // What was read can be sent back.
  const paused: Schemas["EnrollmentInput"] = { ...enrollment, state: "PAUSED" };
  const place = { params: { path: { ...me, enrollment: at.id }, query: { updateMask: "state" } } };
  assert.equal(body(await app.PATCH("/v1/learners/{learner}/enrollments/{enrollment}", { ...place, body: paused })).state, "PAUSED");
  assert.equal(
    body(await app.PATCH("/v1/learners/{learner}/enrollments/{enrollment}", { ...place, body: { state: "ACTIVE" } })).state, "ACTIVE");
  const events = ["phi", "quiz"].map((unitId): Schemas["ProgressEventInput"] => ({
    eventId: randomUUID(), moduleId: module, unitId, verb: unitId === "quiz" ? "PASSED" : "COMPLETED",
    occurredAt: new Date().toISOString(), deviceId: "phone", ...(unitId === "quiz" ? { score: 0.9 } : {}),
  }));
  const recorded = body(await app.POST("/v1/learners/{learner}/events:batch", { params: { path: me }, body: { events } }));
  assert.deepEqual(recorded.results.map((r) => r.status), ["ACCEPTED", "ACCEPTED"]);
  assert.equal(recorded.awards[0]?.milestoneId, "begin");
  const progress = body(await app.GET("/v1/learners/{learner}/paths/{path}/progress", { params: { path: { ...me, path } } }));
  assert.equal(progress.percent, 100);
  assert.equal(progress.enrollment.state, "COMPLETED");
  assert.equal(body(await app.GET("/v1/learners/{learner}/progress", { params: { path: me } })).streak.currentDays, 1);
  assert.equal(body(await app.GET("/v1/learners/{learner}/awards", { params: { path: me } })).awards.length, 1);
  await refused();
  await watch();
  return learner.id;
}

async function refused(): Promise<void> {
  const app = clientOf(tokens.learner);
  const again = problem(
    await app.POST("/v1/learners/{learner}/enrollments", { params: { path: { learner: "me" } }, body: { pathId: path } }));
  assert.deepEqual([again.status, again.reason], [409, "ALREADY_ENROLLED"]);
  const missing = problem(await app.GET("/v1/modules/{module}", { params: { path: { module: "nothing" } } }));
  assert.deepEqual([missing.status, missing.reason, missing.code], [404, "MODULE_NOT_FOUND", "NOT_FOUND"]);
  // @ts-expect-error The types have no such member, and the server refuses it.
  const nicknamed: Schemas["LearnerInput"] = { nickname: "L" };
  const unknown = problem(await app.PATCH("/v1/learners/{learner}", { params: { path: { learner: "me" } }, body: nicknamed }));
  assert.equal(unknown.violations?.[0]?.field, "nickname");
}

// watch reads the first line of the learner's stream.
async function watch(): Promise<void> {
  const ended = new AbortController();
  const called = await clientOf(tokens.learner).GET("/v1/learners/{learner}/progress:watch", {
    params: { path: { learner: "me" }, query: { afterSequence: "0" } },
    headers: { Accept: "application/x-ndjson" }, parseAs: "stream", signal: ended.signal,
  });
  assert.equal(called.response.headers.get("Content-Type"), "application/x-ndjson");
  const stream = called.data as ReadableStream<Uint8Array> | undefined;
  if (!stream) throw new Error("no stream");
  let text = "";
  for await (const part of stream) {
    text += new TextDecoder().decode(part);
    if (text.includes("\n")) break;
  }
  const line = JSON.parse(text.slice(0, text.indexOf("\n"))) as Schemas["WatchProgressLine"];
  assert.equal(line.result?.entry?.type, "ENROLLED");
  ended.abort();
}

async function supervise(learner: string): Promise<void> {
  const admin = clientOf(tokens.admin);
  const [award] = body(await admin.GET("/v1/learners/{learner}/awards", { params: { path: { learner } } })).awards;
  if (!award) throw new Error("no award");
  const revoked = body(await admin.POST("/v1/learners/{learner}/awards/{award}:revoke", {
    params: { path: { learner, award: award.id } }, body: { reason: "a test" } }));
  assert.equal(revoked.state, "REVOKED");
  const audit = body(await admin.GET("/v1/audit", { params: { query: { service: "progress" } } }));
  assert.deepEqual(audit.entries.map((e) => [e.sequence, e.action]), [["1", "AWARD_REVOKED"]]);
}

await publish();
await supervise(await learn());
