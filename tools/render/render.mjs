// Draws boards from their files against a live Prometheus, in headless Chromium, by Grafana's own components.
//
//   node render.mjs --prometheus http://127.0.0.1:9090 --now 1790000000 --interval 300 --out ../../docs/images
//
// `--span` is the most seconds between two samples of the traffic; lines join what is no further apart.
// Ends with 1 and a list when a panel fails or has nothing to show. `--may-be-empty "uid/Panel"` excuses one.
// Build first: npm ci --ignore-scripts && npm run build. The Grafana server is not part of this.

import { createReadStream, existsSync, mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { createServer, request } from "node:http";
import { basename, dirname, extname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import puppeteer from "puppeteer-core";
import UPNG from "upng-js";

const HERE = dirname(fileURLToPath(import.meta.url));
const KINDS = { ".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".json": "application/json" };
const CHROMIUM = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];

const { values: given } = parseArgs({
  options: {
    prometheus: { type: "string" },
    now: { type: "string" },
    interval: { type: "string", default: "60" },
    span: { type: "string", default: "0" },
    boards: { type: "string", default: join(HERE, "../../dashboards") },
    out: { type: "string" },
    only: { type: "string", multiple: true, default: [] },
    theme: { type: "string", default: "dark" },
    "may-be-empty": { type: "string", multiple: true, default: [] },
  },
});
if (!given.prometheus || !given.now || !given.out) {
  console.error("expected --prometheus URL --now UNIX_TIME --out FOLDER");
  process.exit(2);
}
const browserPath = process.env.CHROMIUM ?? CHROMIUM.find(existsSync);
if (!browserPath) {
  console.error("no Chromium: install one (Debian: chromium), or name it in CHROMIUM");
  process.exit(2);
}
if (!existsSync(join(HERE, "dist/index.html"))) {
  console.error("not built: npm ci --ignore-scripts && npm run build, in tools/render");
  process.exit(2);
}

function serve() {
  const server = createServer((asked, answer) => {
    const path = new URL(asked.url, "http://here").pathname;
    if (path.startsWith("/prom/")) {
      const onward = request(given.prometheus + asked.url.slice("/prom".length), { method: asked.method, headers: asked.headers }, (told) => {
        answer.writeHead(told.statusCode, told.headers);
        told.pipe(answer);
      });
      onward.on("error", (error) => answer.writeHead(502).end(JSON.stringify({ status: "error", error: error.message })));
      asked.pipe(onward);
      return;
    }
    const file = path.startsWith("/boards/") ? join(given.boards, basename(path)) : join(HERE, "dist", path === "/" ? "index.html" : path);
    if (!existsSync(file)) {
      answer.writeHead(404).end();
      return;
    }
    answer.writeHead(200, { "content-type": KINDS[extname(file)] ?? "application/octet-stream" });
    createReadStream(file).pipe(answer);
  });
  return new Promise((listening) => server.listen(0, "127.0.0.1", () => listening(server)));
}

/** A PNG of a few colours: a third of the bytes. */
function small(png) {
  const image = UPNG.decode(png);
  return Buffer.from(UPNG.encode(UPNG.toRGBA8(image), image.width, image.height, 128));
}

const uids = readdirSync(given.boards)
  .filter((name) => name.endsWith(".json"))
  .map((name) => name.slice(0, -".json".length))
  .filter((uid) => !given.only.length || given.only.includes(uid));
const excused = new Set(given["may-be-empty"]);
mkdirSync(given.out, { recursive: true });
const server = await serve();
// The sandbox needs rights that a container does not give; what is opened here is only what stands in this repository.
const browser = await puppeteer.launch({ executablePath: browserPath, args: ["--no-sandbox", "--disable-gpu"] });
let failed = 0;
try {
  for (const uid of uids) {
    const page = await browser.newPage();
    page.on("pageerror", (error) => {
      console.error(`${uid}: ${error.stack}`);
      failed += 1;
    });
    await page.setViewport({ width: 1360, height: 900 });
    const query = new URLSearchParams({ board: uid, now: given.now, interval: given.interval, span: given.span, theme: given.theme });
    await page.goto(`http://127.0.0.1:${server.address().port}/?${query}`);
    await page.waitForFunction("window.drawn", { timeout: 120_000 });
    const { problems, height } = await page.evaluate("window.drawn");
    // Tables draw only rows that can be seen.
    await page.setViewport({ width: 1360, height });
    await page.waitForFunction("[...document.querySelectorAll('[role=grid]')].every((grid) => grid.querySelector('[role=gridcell]'))", { timeout: 10_000 });
    const wrong = problems.filter((problem) => !("empty" in problem) || !excused.has(`${uid}/${problem.panel}`));
    for (const { panel, error, empty } of wrong) console.error(`${uid}/${panel}: ${error ?? `query ${empty} has nothing to show`}`);
    failed += wrong.length;
    writeFileSync(join(given.out, `${uid}.png`), small(await page.screenshot({ fullPage: true })));
    await page.close();
    console.log(`${uid}: ${wrong.length ? `${wrong.length} wrong` : "in order"}`);
  }
} finally {
  await browser.close();
  server.close();
}
process.exit(failed ? 1 : 0);
