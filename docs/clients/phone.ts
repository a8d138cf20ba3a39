// A client for phones: what a learner does is queued and survives a restart of the app, is sent
// when there is a network, and a copy of the learner's log is kept up to date by pages and by a
// stream. It uses nothing but fetch and the web's other standard interfaces, so that it runs in
// browsers, Node 20, React Native with a streaming fetch, and the like. docs/clients.md explains it.

/** Where the client keeps its state: a file, IndexedDB, a table. A put is atomic and durable. */
export interface Storage {
  get(key: string): Promise<string | undefined>;
  put(key: string, value: string): Promise<void>;
}

/** What the app reports. Scores and progress are from 0 to 1. */
export interface Learned {
  moduleId: string;
  moduleVersion?: number;
  unitId: string;
  verb: "INITIALIZED" | "PROGRESSED" | "COMPLETED" | "PASSED" | "FAILED";
  score?: number;
  progress?: number;
}

/** An event as it is sent, over and over, until there is a result for it. */
export interface Event extends Learned {
  eventId: string;
  occurredAt: string;
  deviceId: string;
  timeZone?: string;
}

/** What became of an event. */
export interface Result {
  eventId: string;
  status: "ACCEPTED" | "DUPLICATE" | "REJECTED" | "RETRY";
  reason?: string;
  description?: string;
  sequence?: string;
  note?: { code: string; time: string };
}

/** An entry of the learner's log; the members that the client itself reads. */
export interface Entry {
  sequence: string;
  receivedAt: string;
  event?: { eventId: string };
}

/** A problem document that sending again does not change. */
export class Problem extends Error {
  constructor(readonly status: number, readonly reason: string, detail: string) {
    super(`${status} ${reason}: ${detail}`);
  }
}

export interface Options {
  /** The server, without a slash at its end: https://learn.example.org */
  base: string;
  deviceId: string;
  storage: Storage;
  /** Returns a token; a new one when renew is true, because the server refused the last. */
  token(renew: boolean): Promise<string>;
  /** Called once for each event that is stored or rejected: show notes, and why one was rejected. */
  onResult?(event: Event, result: Result): void;
  /** Called when the copy of the log has changed: read progress again. */
  onChange?(): void;
  /** The device's clock, a clock that nobody sets, and a number from 0 to 1 to spread waits; for tests. */
  now?(): number;
  steady?(): number;
  random?(): number;
}

interface Queued {
  event: Event;
  /** Whether it was ever sent, so that the server may have it as it is. */
  sent: boolean;
}

interface State {
  /** What is to be sent. */
  queue: Queued[];
  /** What the server has acknowledged, so that it can be sent again after the log fell back. */
  acknowledged: Event[];
  /** The copy of the log: entry n at n-1. */
  log: Entry[];
  /** Which log the copy is of; unknown while the server does not say. */
  logId?: string;
}

interface Answer<T> {
  body: T;
  etag: string | null;
}

interface Page {
  events: Entry[];
  asOfSequence: string;
  logId?: string;
}

const batchSize = 500;
const pageSize = 500;
const requestTimeout = 30_000;
/** The server sends something at least every 15 seconds; a stream silent for three times as long is dead. */
const silence = 45_000;
const firstDelay = 500;
const longestDelay = 60_000;
const clockJump = 60_000;
/** Statuses that say nothing about the request: it may succeed, or have succeeded, all the same. */
const passing = new Set([408, 425, 429, 500, 502, 503, 504]);

export class Phone {
  private state: State = { queue: [], acknowledged: [], log: [] };
  private saving: Promise<void> = Promise.resolve();
  private reading: Promise<void> = Promise.resolve();
  private sending?: Promise<void>;
  private failures = 0;
  private token?: string;
  private renewal?: Promise<string>;
  private serverAhead = 0;
  private clockBase: number;
  private documents = new Map<string, Answer<unknown>>();

  private constructor(private readonly options: Options) {
    this.clockBase = this.now() - this.steady();
  }

  /** Opens the client on what it stored when it last ran. */
  static async open(options: Options): Promise<Phone> {
    const phone = new Phone(options);
    const stored = await options.storage.get("phone");
    if (stored !== undefined) phone.state = JSON.parse(stored) as State;
    return phone;
  }

  /** Queues what the learner did. When it returns, a crash loses nothing. */
  async record(learned: Learned): Promise<Event> {
    this.correctQueue();
    const event: Event = {
      ...learned,
      eventId: crypto.randomUUID(), // in lower case, as the server returns it
      occurredAt: new Date(this.now()).toISOString(),
      deviceId: this.options.deviceId,
      timeZone: Intl.DateTimeFormat().resolvedOptions().timeZone,
    };
    this.state.queue.push({ event, sent: false });
    await this.save();
    return event;
  }

  /** How many events are waiting. */
  get waiting(): number {
    return this.state.queue.length;
  }

  /** The copy of the log. */
  get log(): readonly Entry[] {
    return this.state.log;
  }

  /** The server's time, as far as the last answer shows it: for "due in two days" on a phone whose clock is wrong. */
  get serverNow(): Date {
    return new Date(this.now() + this.serverAhead);
  }

  /** Sends what is queued until nothing is left, waiting as long as it takes. A second call joins the first. */
  flush(signal?: AbortSignal): Promise<void> {
    this.sending ??= this.sendAll(signal).finally(() => {
      this.sending = undefined;
    });
    return this.sending;
  }

  /** Brings the copy of the log up to date, and queues again what a log that fell back has lost. */
  catchUp(signal?: AbortSignal): Promise<void> {
    // One after the other: two readers would insert the same pages.
    this.reading = this.reading.catch(() => undefined).then(() => this.readPages(signal));
    return this.reading;
  }

  /** Follows the log until the signal, reconnecting as often as needed. */
  async watch(signal: AbortSignal): Promise<void> {
    let delay = 0;
    while (!signal.aborted) {
      try {
        await sleep(delay, signal);
        // What happened in between, also whether the log is still the one that we copied.
        await this.catchUp(signal);
        delay = await this.stream(signal);
      } catch (fault) {
        if (signal.aborted) return;
        if (fault instanceof Problem) throw fault;
        delay = this.backoff();
      }
    }
  }

  /** Reads a document, such as /v1/learners/me/progress; one that has not changed costs a 304. */
  async read<T>(path: string, signal?: AbortSignal): Promise<T> {
    const had = this.documents.get(path);
    const headers: Record<string, string> = had?.etag ? { "If-None-Match": had.etag } : {};
    const answer = await this.request<T>("GET", path, undefined, headers, signal);
    if (answer === "not modified") return had?.body as T;
    this.documents.set(path, answer);
    return answer.body;
  }

  // --- sending

  private async sendAll(signal?: AbortSignal): Promise<void> {
    let size = batchSize;
    while (this.state.queue.length > 0) {
      this.correctQueue();
      const batch = this.state.queue.slice(0, size);
      for (const queued of batch) queued.sent = true;
      await this.save();
      try {
        const held = await this.send(batch.map((queued) => queued.event), signal);
        if (held > 0) await sleep(this.backoff(), signal);
      } catch (fault) {
        if (!(fault instanceof Problem) || fault.status !== 413 || size === 1) throw fault;
        size = Math.ceil(size / 2);
      }
    }
  }

  /** Sends a batch, and returns how many of its events are to be held. */
  private async send(events: Event[], signal?: AbortSignal): Promise<number> {
    // sentAt is anew in each try: the server corrects occurredAt by what this clock is off.
    const body = () => JSON.stringify({ events, sentAt: new Date(this.now()).toISOString() });
    const answer = await this.request<{ results: Result[]; logId?: string }>("POST", "/v1/learners/me/events:batch", body, {}, signal);
    if (answer === "not modified") throw new Error("a batch was answered 304");
    const results = new Map(answer.body.results.map((r) => [r.eventId.toLowerCase(), r]));
    const keep: Queued[] = [];
    for (const queued of this.state.queue) {
      const result = results.get(queued.event.eventId);
      if (result === undefined || result.status === "RETRY") {
        keep.push(queued);
        continue;
      }
      // A DUPLICATE was stored by an earlier try whose answer got lost: as good as ACCEPTED.
      if (result.status !== "REJECTED") this.state.acknowledged.push(queued.event);
      this.options.onResult?.(queued.event, result);
    }
    this.state.queue = keep;
    await this.save();
    if (this.isAnotherLog(answer.body.logId)) await this.catchUp(signal);
    return answer.body.results.filter((r) => r.status === "RETRY").length;
  }

  /**
   * Moves the times of queued events when the device's clock was set: sentAt corrects only a clock
   * that is wrong all the time. An event that the server may have stays as it was sent.
   */
  private correctQueue(): void {
    const base = this.now() - this.steady();
    const jump = base - this.clockBase;
    this.clockBase = base;
    if (Math.abs(jump) < clockJump) return;
    for (const { event, sent } of this.state.queue) {
      if (!sent) event.occurredAt = new Date(Date.parse(event.occurredAt) + jump).toISOString();
    }
  }

  // --- reading

  private async readPages(signal?: AbortSignal): Promise<void> {
    for (;;) {
      // The last entry that we have comes again: if it is not the same, the log fell back.
      const from = Math.max(0, this.state.log.length - 1);
      const answer = await this.request<Page>("GET", `/v1/learners/me/events?afterSequence=${from}&pageSize=${pageSize}`, undefined, {}, signal);
      if (answer === "not modified") throw new Error("a page was answered 304");
      const page = answer.body;
      if (this.isAnotherLog(page.logId) || Number(page.asOfSequence) < this.state.log.length || !this.insert(page.events)) {
        this.dropLog(page.logId);
        continue;
      }
      this.state.logId = page.logId ?? this.state.logId;
      if (this.state.log.length >= Number(page.asOfSequence)) break;
    }
    this.requeueLost();
    await this.save();
  }

  /** Puts entries into the copy, and reports false if they contradict it. */
  private insert(entries: Entry[]): boolean {
    let changed = false;
    for (const entry of entries) {
      const at = Number(entry.sequence) - 1;
      const had = this.state.log[at];
      if (had !== undefined && had.receivedAt !== entry.receivedAt) return false;
      if (at > this.state.log.length) return false;
      if (had === undefined) {
        this.state.log.push(entry);
        changed = true;
      }
    }
    if (changed) this.options.onChange?.();
    return true;
  }

  private isAnotherLog(logId: string | undefined): boolean {
    return logId !== undefined && this.state.logId !== undefined && logId !== this.state.logId;
  }

  private dropLog(logId: string | undefined): void {
    this.state.log = [];
    this.state.logId = logId;
    this.documents.clear();
  }

  /** Queues what was acknowledged and is not in the log: a restore lost it. Sending too much does no harm. */
  private requeueLost(): void {
    const stored = new Set(this.state.log.map((entry) => entry.event?.eventId));
    const queued = new Set(this.state.queue.map((q) => q.event.eventId));
    for (const event of this.state.acknowledged) {
      if (!stored.has(event.eventId) && !queued.has(event.eventId)) this.state.queue.push({ event, sent: true });
    }
    this.state.acknowledged = this.state.acknowledged.filter((event) => stored.has(event.eventId));
  }

  /** Reads one stream to its end, and returns after how many milliseconds to open the next. */
  private async stream(signal: AbortSignal): Promise<number> {
    const dead = new AbortController();
    const stop = () => dead.abort();
    signal.addEventListener("abort", stop);
    let alarm = setTimeout(stop, silence);
    try {
      const response = await this.fetch("GET", "/v1/learners/me/progress:watch", undefined, {
        Accept: "text/event-stream", "Last-Event-ID": String(this.state.log.length),
      }, dead.signal);
      if (!response.ok || response.body === null) throw await faultOf(response);
      let retry = firstDelay;
      for await (const message of serverSentEvents(response.body, () => {
        clearTimeout(alarm);
        alarm = setTimeout(stop, silence);
      })) {
        this.failures = 0;
        retry = message.retry ?? retry;
        if (message.data !== "" && !(await this.merge(message))) return 0;
      }
      return retry * (1 + this.random()); // all phones were cut off at once: not all back at once
    } finally {
      clearTimeout(alarm);
      signal.removeEventListener("abort", stop);
    }
  }

  /** Merges an event of the stream, and reports false if the pages are to be read instead. */
  private async merge(message: Message): Promise<boolean> {
    if (message.event === "reset") return false;
    const { entry, logId } = JSON.parse(message.data) as { entry?: Entry; logId?: string };
    if (entry === undefined) return true;
    if (this.isAnotherLog(logId) || !this.insert([entry])) return false;
    await this.save();
    return true;
  }

  // --- requests

  /** Sends a request until there is an answer that means something. The body is made anew for each try. */
  private async request<T>(
    method: string, path: string, body: (() => string) | undefined, headers: Record<string, string>, signal?: AbortSignal,
  ): Promise<Answer<T> | "not modified"> {
    for (;;) {
      signal?.throwIfAborted();
      let wait: number;
      try {
        const limit = AbortSignal.timeout(requestTimeout);
        const response = await this.fetch(method, path, body?.(), headers, signal ? AbortSignal.any([signal, limit]) : limit);
        if (response.status === 304) return this.succeeded("not modified" as const);
        if (response.ok) {
          return this.succeeded({ body: (await response.json()) as T, etag: response.headers.get("ETag") });
        }
        if (!passing.has(response.status)) throw await faultOf(response);
        wait = retryAfter(response, this.serverNow.getTime());
        await response.body?.cancel();
      } catch (fault) {
        if (fault instanceof Problem || signal?.aborted) throw fault;
        wait = 0; // no network, a broken connection, half an answer: the request may have been served
      }
      await sleep(Math.max(wait, 0) + this.backoff(), signal);
    }
  }

  private succeeded<T>(answer: T): T {
    this.failures = 0;
    return answer;
  }

  /** Sends a request once, and once more with a new token if the server refuses the old. */
  private async fetch(
    method: string, path: string, body: string | undefined, headers: Record<string, string>, signal: AbortSignal,
  ): Promise<Response> {
    let refused: string | undefined;
    for (;;) {
      const token = await this.bearer(refused);
      const response = await fetch(this.options.base + path, {
        method, body, signal, cache: "no-store",
        headers: { ...headers, Authorization: `Bearer ${token}`, ...(body === undefined ? {} : { "Content-Type": "application/json" }) },
      });
      const date = Date.parse(response.headers.get("Date") ?? "");
      if (!Number.isNaN(date)) this.serverAhead = date - this.now();
      if (response.status !== 401 || refused !== undefined) return response;
      await response.body?.cancel();
      refused = token;
    }
  }

  /**
   * Returns a token other than one that was refused. Requests that are refused at the same time
   * share one renewal, and one that comes late takes the token that another has got.
   */
  private async bearer(refused: string | undefined): Promise<string> {
    if (this.token !== undefined && this.token !== refused) return this.token;
    this.renewal ??= this.options.token(refused !== undefined)
      .then((token) => (this.token = token))
      .finally(() => (this.renewal = undefined));
    return this.renewal;
  }

  /** Returns how long to wait after one more failure: at random up to a bound that doubles. */
  private backoff(): number {
    const bound = Math.min(longestDelay, firstDelay * 2 ** this.failures);
    this.failures++;
    return bound * this.random();
  }

  private now(): number {
    return this.options.now?.() ?? Date.now();
  }

  private steady(): number {
    return this.options.steady?.() ?? performance.now();
  }

  private random(): number {
    return this.options.random?.() ?? Math.random();
  }

  /** Stores the state, one put after the other. */
  private save(): Promise<void> {
    this.saving = this.saving.catch(() => undefined).then(() => this.options.storage.put("phone", JSON.stringify(this.state)));
    return this.saving;
  }
}

async function faultOf(response: Response): Promise<Error> {
  const text = await response.text().catch(() => "");
  if (passing.has(response.status)) return new Error(`status ${response.status}`);
  try {
    const problem = JSON.parse(text) as { reason: string; detail: string };
    return new Problem(response.status, problem.reason, problem.detail);
  } catch {
    return new Problem(response.status, "UNKNOWN", text.slice(0, 200));
  }
}

/** Returns the milliseconds of Retry-After, which is a number of seconds or a time. */
function retryAfter(response: Response, now: number): number {
  const value = response.headers.get("Retry-After");
  if (value === null) return 0;
  const seconds = Number(value);
  return Number.isNaN(seconds) ? Date.parse(value) - now || 0 : seconds * 1000;
}

interface Message {
  event: string;
  data: string;
  retry?: number;
}

/** Reads server-sent events. alive is called for everything that comes, comments too. */
async function* serverSentEvents(body: ReadableStream<Uint8Array>, alive: () => void): AsyncGenerator<Message> {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  let rest = "";
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return; // an event without the empty line at its end did not come whole
      alive();
      const blocks = (rest + decoder.decode(value, { stream: true })).split("\n\n");
      rest = blocks.pop() ?? "";
      for (const block of blocks) yield parseMessage(block);
    }
  } finally {
    await reader.cancel().catch(() => undefined);
  }
}

function parseMessage(block: string): Message {
  const message: Message = { event: "message", data: "" };
  for (const line of block.split("\n")) {
    const colon = line.indexOf(":");
    const value = line.slice(colon + 1).replace(/^ /, "");
    switch (line.slice(0, Math.max(colon, 0))) {
      case "event":
        message.event = value;
        break;
      case "data":
        message.data += value;
        break;
      case "retry":
        message.retry = Number(value);
        break;
    }
  }
  return message;
}

function sleep(millis: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    signal?.throwIfAborted();
    const stop = () => {
      clearTimeout(timer);
      reject(signal?.reason as Error);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", stop);
      resolve();
    }, millis);
    signal?.addEventListener("abort", stop, { once: true });
  });
}
