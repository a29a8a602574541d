// The policy of the page would keep Playwright from waiting for anything (it evaluates text); the suite `admin` looks at it.
// The dashboard as a browser shows it: dashboard.mjs SCREENSHOTS alone|ensemble|busy PORT NUMBER
import assert from "node:assert/strict";
import { chromium } from "playwright-core";

const [screenshots, what, port, number] = process.argv.slice(2);
const url = `http://127.0.0.1:${port}/`;
const browser = await chromium.launch({ executablePath: "/usr/bin/chromium", args: ["--no-sandbox", "--disable-gpu"] });
const context = await browser.newContext({ bypassCSP: true, viewport: { width: 1200, height: 900 } });
const page = await context.newPage();
const problems = [];
const elsewhere = [];
page.on("pageerror", (error) => problems.push(String(error)));
page.on("console", (message) => message.type() === "error" && problems.push(message.text()));
page.on("request", (request) => request.url().startsWith(url) || elsewhere.push(request.url()));
const phone = { width: 375, height: 740 };

async function overflow() {
  return page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
}
const text = (selector) => page.locator(selector).innerText();
const shot = (name) => page.screenshot({ path: `${screenshots}/${what}-${name}.png` });
const tab = (name) => page.getByRole("tab", { name }).click();

const tests = {
  alone: {
    async "the overview shows state, figures and charts that move"() {
      await page.goto(url);
      await page.waitForFunction(() => document.querySelectorAll("#charts polyline").length === 6);
      assert.equal(await text("#state"), "standalone");
      assert.match(await text("#facts"), /znodes/);
      await page.waitForFunction(() => (document.querySelector("#chart-writes polyline")?.getAttribute("points") ?? "").split(" ").length > 4);
      assert.notEqual(await text("#now-writes"), "0");
      await shot("overview");
    },
    async "sessions are listed"() {
      await tab("Sessions");
      await page.waitForFunction(() => document.querySelectorAll("#sessions tbody tr").length === 2);
      assert.match(await text("#sessions tbody"), /0x[0-9a-f]+\s+127\.0\.0\.1:\d+/);
      await shot("sessions");
    },
    async "the tree is browsed, and names and data are text"() {
      await tab("Tree");
      await page.getByRole("button", { name: "app", exact: true }).click();
      await page.getByRole("button", { name: "<b>tags", exact: true }).click();
      await page.waitForFunction(() => document.querySelector("#node pre")?.textContent.includes("<script>"));
      assert.equal(await page.title(), "Ferrokeeper");
      await page.locator("#crumbs").getByRole("button", { name: "app" }).click();
      await page.getByRole("button", { name: "config", exact: true }).click();
      await page.waitForFunction(() => document.querySelector("#node pre")?.textContent.includes("colour=blue"));
      assert.match(await text("#node"), /world:anyone:cdrwa/);
      await shot("tree");
    },
    async "many children come in pages and can be searched"() {
      await page.locator("#crumbs").getByRole("button", { name: "/", exact: true }).click();
      await page.getByRole("button", { name: "many", exact: true }).click();
      await page.waitForFunction(() => document.querySelectorAll(".kid").length === 100);
      await page.locator("#more").click();
      await page.waitForFunction(() => document.querySelectorAll(".kid").length === 200);
      await page.locator("#needle").fill("child-00777");
      await page.getByRole("button", { name: "Search" }).click();
      for (let turn = 0; turn < 5 && (await page.locator(".kid", { hasText: "child-00777" }).count()) === 0; turn++) {
        await page.locator("#more").click();
      }
      await page.locator(".kid", { hasText: "child-00777" }).waitFor();
      assert.match(await text("#kids-note"), /2500/);
      await shot("search");
    },
    async "what a list of rights protects is not shown without them"() {
      await page.locator("#needle").fill("");
      await page.locator("#crumbs").getByRole("button", { name: "/", exact: true }).click();
      await page.getByRole("button", { name: "secret", exact: true }).click();
      await page.waitForFunction(() => document.querySelector("#node")?.textContent.includes("not for this user"));
      assert.doesNotMatch(await page.content(), /nobody may see this/);
      await page.locator("#auth").fill("root:wrong");
      await page.getByRole("button", { name: "Read as this user" }).click();
      await page.waitForFunction(() => document.querySelector("#who-note").textContent === "reading as root");
      assert.doesNotMatch(await page.content(), /nobody may see this/);
      await page.locator("#auth").fill("root:secret");
      await page.getByRole("button", { name: "Read as this user" }).click();
      await page.waitForFunction(() => document.querySelector("#node pre")?.textContent === "nobody may see this");
      assert.match(await text("#node"), /digest:root:…:cdrwa/);
    },
    async "data and lists are changed by who may"() {
      await page.locator("#crumbs").getByRole("button", { name: "/", exact: true }).click();
      await page.getByRole("button", { name: "edited", exact: true }).click();
      await page.waitForFunction(() => document.querySelector("#node pre")?.textContent === "before");
      await page.locator("#edit-data").fill("after\n<b>it</b>");
      await page.getByRole("button", { name: "Save data" }).click();
      await page.waitForFunction(() => document.querySelector("#node pre")?.textContent === "after\n<b>it</b>");
      await page.waitForFunction(() => document.querySelector("#note-data")?.textContent === "saved");
      // Somebody else was quicker.
      const late = await page.evaluate(() => ask("data", { path: "/edited", version: 0 }, "late").then(() => "taken", (e) => e.message));
      assert.match(late, /BAD_VERSION/);
      const refusals = problems.splice(0);
      assert.ok(refusals.every((text) => text.includes("409")), refusals.join());
      await shot("edit");
      await page.locator("#edit-acl").fill("world:anyone:r");
      await page.getByRole("button", { name: "Save acl" }).click();
      await page.waitForFunction(() => document.querySelector("#node")?.textContent.includes("world:anyone:r") && !document.querySelector("#edit-acl"));
      assert.equal(await page.locator("#edit-data").count(), 0);
    },
    async "the paths that are asked for most are listed"() {
      await tab("Hot paths");
      await page.waitForFunction(() => Number(document.querySelector("#hot tbody tr td:nth-child(3)")?.textContent) > 10);
      assert.match(await text("#hot tbody tr:first-child"), /^\/app\/config\s/);
      await shot("hot");
    },
    async "recent transactions are listed"() {
      await tab("Transactions");
      await page.waitForFunction(() => document.querySelectorAll("#transactions tbody tr").length > 20);
      assert.match(await text("#transactions tbody"), /setData[\s\S]*\/app\/config/);
      await shot("transactions");
    },
    async "it fits a phone"() {
      await page.setViewportSize(phone);
      for (const name of ["Overview", "Sessions", "Tree", "Hot paths", "Transactions"]) {
        await tab(name);
        await page.waitForTimeout(300);
        assert.ok((await overflow()) <= 0, `${name} is ${await overflow()} pixels too wide`);
        await shot(`phone-${name.toLowerCase().replace(" ", "-")}`);
      }
      await page.setViewportSize({ width: 1200, height: 900 });
    },
    async "it is at its other addresses too"() {
      for (const path of ["dashboard", "dashboard/"]) {
        await page.goto(url + path);
        await page.waitForFunction(() => document.querySelector("#state").textContent === "standalone");
      }
    },
  },
  ensemble: {
    async "members, who leads and who is in step"() {
      await page.goto(url);
      await page.waitForFunction(() => document.querySelectorAll("#ensemble tbody tr").length === 3);
      assert.equal(await text("#state"), "leader");
      assert.match(await text("#ensemble-note"), new RegExp(`leading - broadcast; server ${number} leads`));
      assert.equal((await text("#ensemble tbody")).match(/in step/g).length, 2);
      // Nothing is written: all members are where the leader is.
      await page.waitForFunction(() => [...document.querySelectorAll("#ensemble tbody tr td:nth-child(3)")].every((cell) => cell.textContent === "0"));
      const at = await page.locator("#ensemble tbody tr td:nth-child(4)").allInnerTexts();
      assert.ok(at.every((zxid) => /^0x[0-9a-f]+$/.test(zxid) && zxid === at[0]), at.join());
      await page.waitForFunction(() => document.querySelectorAll("#charts polyline").length === 6);
      await shot("overview");
    },
  },
  busy: {
    async "members under load keep up, as far as one sees"() {
      await page.goto(url);
      await page.waitForFunction(() => (document.querySelector("#chart-writes polyline")?.getAttribute("points") ?? "").split(" ").length > 12, null, { timeout: 120_000 });
      // A member that does not answer in time has none for a moment.
      await page.waitForFunction(() => {
        const behind = [...document.querySelectorAll("#ensemble tbody tr td:nth-child(3)")];
        return behind.length === 3 && behind.every((count) => /^[0-9]+$/.test(count.textContent));
      });
      assert.notEqual(await text("#now-writes"), "0");
      await shot("overview");
      await page.setViewportSize(phone);
      assert.ok((await overflow()) <= 0, `${await overflow()} pixels too wide`);
      await shot("phone");
    },
  },
};

let passed = 0;
let failed = 0;
tests[what]["nothing is loaded from elsewhere, and nothing fails"] = async () => {
  assert.deepEqual(elsewhere, []);
  assert.deepEqual(problems, []);
};
for (const [name, run] of Object.entries(tests[what])) {
  try {
    await run();
    passed++;
    console.log(`ok      ${name}`);
  } catch (error) {
    failed++;
    console.log(`FAILED  ${name}\n${error.stack}\n${problems.join("\n")}`);
    await shot("failed").catch(() => {});
  }
}
await browser.close();
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed ? 1 : 0);
