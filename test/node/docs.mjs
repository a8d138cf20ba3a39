// Checks the page at /docs in a real browser, at desktop and at phone width: accessibility by
// axe, the sizes of what one taps, the links of problems, the search, and that what the page
// offers to try succeeds on a fresh server.
//
//   node docs.mjs BASE LEARNER_TOKEN ADMIN_TOKEN [FOLDER FOR SCREENSHOTS]
import axe from "axe-core";
import { execFileSync } from "node:child_process";
import { chromium } from "playwright-core";

const [base, learnerToken, adminToken, shots] = process.argv.slice(2);
const faults = [];
const check = (ok, fault) => { if (!ok) faults.push(fault); };

const desktop = { viewport: { width: 1280, height: 900 } };
const phone = { viewport: { width: 390, height: 844 }, isMobile: true, hasTouch: true, deviceScaleFactor: 2 };

const browser = await chromium.launch({ executablePath: process.env.CHROMIUM || "/usr/bin/chromium", args: ["--no-sandbox"] });

// open shows the page in a context of its own. Errors of scripts and requests elsewhere are faults.
async function open(name, options, hash = "") {
  const context = await browser.newContext(options);
  const page = await context.newPage();
  page.setDefaultTimeout(30_000);
  page.on("pageerror", (e) => faults.push(`${name}: ${e.message}`));
  page.on("request", (r) => check(r.url().startsWith(base) || r.url().startsWith("data:"), `${name}: the page asks for ${r.url()}`));
  await page.goto(`${base}/docs${hash}`);
  await page.waitForSelector(".operation", { state: "attached" });
  return page;
}

// becomes waits until a condition holds in the page: what follows a tap or a new address comes in a
// later task of the browser.
async function becomes(page, condition, fault, arg) {
  await page.waitForFunction(condition, arg, { timeout: 10_000 }).catch(() => faults.push(fault));
}

async function shot(page, name, fullPage = false) {
  if (shots) await page.screenshot({ path: `${shots}/${name}.png`, fullPage });
}

// accessible runs axe with the rules up to WCAG 2.2 AA, and measures what one taps.
async function accessible(page, name) {
  const found = await page.evaluate(`${axe.source}; axe.run(document, {runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"], rules: {"target-size": {enabled: true}}})`);
  for (const v of found.violations) {
    faults.push(`${name}: ${v.impact} ${v.id}: ${v.help}: ${v.nodes.slice(0, 3).map((n) => n.target.join(" ")).join("; ")}`);
  }
  const small = await page.evaluate(() => [...document.querySelectorAll("a, button, summary, input, select, textarea")]
    .filter((node) => node.checkVisibility({ visibilityProperty: true }) && !node.closest("p, dd") && !node.classList.contains("skip"))
    .filter((node) => node.getBoundingClientRect().height < 24)
    .map((node) => `${node.tagName} ${node.textContent.slice(0, 40)} (${Math.round(node.getBoundingClientRect().height)} px)`));
  check(small.length === 0, `${name}: lower than 24 px: ${small.slice(0, 5).join("; ")}`);
  const wide = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
  check(wide <= 0, `${name}: the page is ${wide} px wider than the screen`);
}

async function looks(name, options) {
  const page = await open(name, options);
  await accessible(page, `${name}, the guide`);
  await shot(page, `${name}-guide`);
  await shot(page, `${name}-whole`, true);
  await page.evaluate(() => { location.hash = "#batchRecordEvents"; });
  await page.waitForSelector("#batchRecordEvents .inside");
  await accessible(page, `${name}, an operation`);
  await shot(page, `${name}-operation`);
  await page.evaluate(() => { location.hash = "#errors"; });
  await shot(page, `${name}-errors`);
  await page.context().close();
}

async function menu() {
  const page = await open("phone", phone);
  await page.tap("#menu");
  check(await page.isVisible("#index"), "Menu does not show the index");
  check(await page.evaluate(() => document.activeElement.id !== "search"), "Menu focuses the search field, which raises the keyboard");
  await accessible(page, "phone, the menu");
  await shot(page, "phone-menu");
  await page.fill("#search", "event_id_reused");
  check(await page.isVisible('#found-reasons a[href="#reason-EVENT_ID_REUSED"]'), "the search does not find EVENT_ID_REUSED");
  check(await page.isHidden("#nothing"), "the search finds a reason, and says that nothing matches");
  await accessible(page, "phone, a search");
  await shot(page, "phone-search");
  await page.tap('#found-reasons a[href="#reason-EVENT_ID_REUSED"]');
  await becomes(page, () => !document.getElementById("index").checkVisibility(), "the index stays open after a choice");
  await becomes(page, () => {
    const at = document.getElementById("reason-EVENT_ID_REUSED").getBoundingClientRect();
    return at.top >= 50 && at.bottom <= innerHeight;
  }, "a found reason is not on the screen");
  await shot(page, "phone-reason");
  await page.tap("#menu");
  await page.fill("#search", "no such words");
  check(await page.isVisible("#nothing"), "the search does not say that nothing matches");
  await page.context().close();
}

// problems follows the type of a real problem to its text.
async function problems() {
  const answer = await fetch(`${base}/v1/learners/me/paths/nowhere/progress`, { headers: { Authorization: `Bearer ${learnerToken}` } });
  const { type, reason } = await answer.json();
  check(type === `/docs#reason-${reason}`, `the type of a problem is ${type}`);
  const page = await open("a problem's type", desktop, type.slice("/docs".length));
  const text = await page.textContent(`#reason-${reason} dd`);
  check(text.trim().length > 10, `${type} has the text ${JSON.stringify(text)}`);
  await becomes(page, (id) => document.getElementById(id).getBoundingClientRect().top < innerHeight, `${type} is not on the screen`, `reason-${reason}`);
  await page.context().close();
}

// steps copies the commands of the guide into a shell, in their order.
async function steps() {
  const page = await open("the guide", desktop);
  const commands = await page.$$eval("#steps pre", (blocks) => blocks.map((b) => b.textContent));
  check(commands.length === 5, `the guide has ${commands.length} commands`);
  for (const command of commands) {
    const stream = command.includes("curl -N ");
    const line = command.replace("curl ", stream ? "timeout 5 curl -sS " : "curl -sS --fail-with-body ");
    let out = "";
    try {
      out = execFileSync("bash", ["-c", line], { env: { ...process.env, TOKEN: learnerToken }, encoding: "utf8" });
    } catch (e) {
      out = String(e.stdout);
      if (!stream || e.status !== 124) faults.push(`${command}\nfails: ${out || e.message}`);
    }
    check(out.length > 0 && !/REJECTED|RETRY|"status":4/.test(out), `${command}\nreturns ${out}`);
  }
  await page.context().close();
}

// Operations whose form a fresh server cannot serve: they need what only somebody's work makes.
const needMore = new Map([
  ["restorePath", "is sent after archivePath"], ["restoreModule", "is sent after archiveModule"],
]);

// tries sends every form as it is first shown, but for those that ask for what the page cannot
// know. Modules come before the paths that name them, and restoring after archiving.
async function tries() {
  const page = await open("try it", desktop);
  await page.fill("#token", adminToken);
  const ids = await page.$$eval(".operation", (all) => all.map((o) => o.id));
  const rank = (id) => (needMore.has(id) ? 3 : /^archive/.test(id) ? 2 : /Path$/.test(id) ? 1 : 0);
  let sent = 0;
  for (const id of ids.toSorted((a, b) => rank(a) - rank(b))) {
    await page.evaluate((id) => { document.getElementById(id).open = true; }, id);
    const form = await page.waitForSelector(`#${id} form.try`);
    const missing = await form.$$eval("input, select", (all) => all.filter((i) => i.required && !i.value).map((i) => i.id));
    if (missing.length > 0) continue;
    await form.evaluate((f) => f.requestSubmit());
    const status = await page.waitForSelector(`#${id} .status`);
    const good = await status.evaluate((s) => s.classList.contains("good"));
    check(good, `the form of ${id} returns: ${await page.textContent(`#${id} .result`)}`);
    await page.evaluate((id) => { if (id !== "batchRecordEvents") document.getElementById(id).open = false; }, id);
    sent++;
  }
  check(sent >= 30, `only ${sent} of ${ids.length} forms can be sent as they are`);
  await refused(page);
  await page.context().close();
}

// refused sends a batch of which one event is rejected: its status is 200, and it must not look good.
async function refused(page) {
  const body = page.locator("#batchRecordEvents textarea");
  const batch = JSON.parse(await body.inputValue());
  batch.events[0].eventId = "0193a1b2-8d4e-7f50-9b6c-7d8e9fa0b1ff";
  batch.events[0].moduleVersion = 99;
  await body.fill(JSON.stringify(batch));
  await page.evaluate(() => document.querySelector("#batchRecordEvents form").requestSubmit());
  const status = page.locator("#batchRecordEvents .status", { hasText: "UNKNOWN_VERSION" });
  await status.waitFor();
  check(/bad/.test(await status.getAttribute("class")), "a rejected event in a 200 looks good");
  await accessible(page, "an answer");
  if (shots) await status.scrollIntoViewIfNeeded();
  await shot(page, "desktop-refused");
}

process.on("uncaughtException", (e) => {
  for (const fault of [...faults, e.stack]) console.error(fault);
  process.exit(1);
});
const parts = [
  ["desktop", () => looks("desktop", desktop)],
  ["phone", () => looks("phone", phone)],
  ["phone in the dark", () => looks("phone in the dark", { ...phone, colorScheme: "dark" })],
  ["narrow", () => looks("narrow", { ...phone, viewport: { width: 320, height: 640 } })],
  ["menu", menu], ["problems", problems], ["steps", steps], ["tries", tries],
];
for (const [name, part] of parts) {
  const began = performance.now();
  await part();
  console.log(`${name}: ${Math.round(performance.now() - began)} ms`);
}
await browser.close();
for (const fault of faults) console.error(fault);
console.log(`${faults.length} faults`);
process.exitCode = faults.length > 0 ? 1 : 0;
