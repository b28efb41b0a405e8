// Opens pgAdmin's tree of a connected server in a headless Chromium, down to the tables, and takes a picture of it.
import { createRequire } from 'node:module';
const require = createRequire(`${process.env.NODE_ROOT}/`);
const { chromium } = require('playwright-core');

const [base, picture, password, ...path] = process.argv.slice(2);
const browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args: ['--no-sandbox', '--disable-gpu'] });
try {
  const page = await browser.newPage({ viewport: { width: 1280, height: 900 } });
  await page.goto(`${base}/browser/`, { timeout: 120_000 });
  const entry = (name) => page.locator('.file-name').filter({ hasText: new RegExp(`^${name}( \\(\\d+\\))?$`) }).first();
  for (const [at, name] of path.entries()) {
    await entry(name).waitFor({ timeout: 60_000 });
    const next = path[at + 1] ?? 'accounts';
    // A double click opens a node, or closes one that is open already.
    for (let tries = 0; tries < 5 && !(await entry(next).isVisible()); tries++) {
      await entry(name).dblclick();
      const asked = page.getByText('Please enter the password').first();
      const seen = (locator) => locator.waitFor({ timeout: 20_000 }).then(() => locator, () => null);
      if ((await Promise.race([seen(entry(next)), seen(asked)])) === asked) {
        await page.keyboard.type(password);
        await page.locator('button:has-text("OK")').last().click();
        await seen(entry(next));
      }
    }
  }
  await entry('accounts').waitFor({ timeout: 60_000 });
  await page.waitForTimeout(1_000);
  await page.screenshot({ path: picture });
} catch (error) {
  await browser.contexts()[0]?.pages()[0]?.screenshot({ path: `${picture}.failed.png` });
  throw error;
} finally {
  await browser.close();
}
