// Runs the client of docs/clients/phone.ts for a test: it reads commands from standard input, a
// line of JSON each, and writes a line of JSON for each result.
//
//   node phone_run.js '{"base": …, "folder": …, "deviceId": …, "seed": …, "tokens": […]}'
import { mkdir, readFile, rename, writeFile } from "node:fs/promises";
import { createInterface } from "node:readline";
import { Phone, type Learned, type Storage } from "../../docs/clients/phone.js";

interface Config {
  base: string;
  folder: string;
  deviceId: string;
  seed: number;
  tokens: string[];
}

interface Command {
  do: "learn" | "watch" | "flush" | "sync" | "state" | "setClock" | "read";
  events?: Learned[];
  millis?: number;
  path?: string;
}

const config = JSON.parse(process.argv[2] ?? "") as Config;

/** A file for each key, replaced as a whole. */
const files: Storage = {
  async get(key) {
    return readFile(`${config.folder}/${key}.json`, "utf8").catch(() => undefined);
  },
  async put(key, value) {
    await writeFile(`${config.folder}/${key}.new`, value, { flush: true });
    await rename(`${config.folder}/${key}.new`, `${config.folder}/${key}.json`);
  },
};

/** Mulberry32: the same numbers for the same seed. */
function dice(seed: number): () => number {
  let a = seed;
  return () => {
    a = (a + 0x6d2b79f5) | 0;
    let t = Math.imul(a ^ (a >>> 15), 1 | a);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

const write = (message: unknown) => process.stdout.write(`${JSON.stringify(message)}\n`);

await mkdir(config.folder, { recursive: true });
let clock = 0;
const results: Record<string, string> = {};
const phone = await Phone.open({
  base: config.base,
  deviceId: config.deviceId,
  storage: files,
  token: async (renew) => (renew ? config.tokens.at(-1) : config.tokens[0]) ?? "",
  onResult: (event, result) => {
    results[event.eventId] = result.status === "REJECTED" ? `REJECTED ${result.reason}` : result.status;
  },
  now: () => Date.now() + clock,
  random: dice(config.seed),
});
const watching = new AbortController();

async function carryOut(command: Command): Promise<unknown> {
  switch (command.do) {
    case "learn": {
      const ids: string[] = [];
      for (const learned of command.events ?? []) ids.push((await phone.record(learned)).eventId);
      return { ids };
    }
    case "watch":
      phone.watch(watching.signal).catch((fault: unknown) => write({ fault: String(fault) }));
      return {};
    case "flush":
      // In the background, as an app does it: commands go on meanwhile.
      phone.flush().catch((fault: unknown) => write({ fault: String(fault) }));
      return {};
    case "sync":
      // What is lost is found by catching up, and then sent.
      do {
        await phone.flush();
        await phone.catchUp();
      } while (phone.waiting > 0);
      return { log: phone.log, results, serverNow: phone.serverNow.toISOString() };
    case "state":
      return { log: phone.log, results };
    case "setClock":
      clock = command.millis ?? 0;
      return {};
    case "read":
      return { document: await phone.read(command.path ?? "") };
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  try {
    write(await carryOut(JSON.parse(line) as Command));
  } catch (fault) {
    write({ fault: String(fault) });
  }
}
watching.abort();
process.exit(0);
