// Draws a chart of Superset in a headless Chromium and takes a picture of it.
import { createRequire } from 'node:module';
const require = createRequire(`${process.env.NODE_ROOT}/`);
const { chromium } = require('playwright-core');

const [base, chart, picture] = process.argv.slice(2);
const browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args: ['--no-sandbox', '--disable-gpu'] });
try {
  const page = await browser.newPage({ viewport: { width: 1280, height: 800 } });
  const login = await page.request.post(`${base}/login/`, { form: { username: 'admin', password: 'admin' }, maxRedirects: 0 });
  if (login.status() !== 302) throw new Error(`login answers ${login.status()}`);
  await page.goto(`${base}/explore/?slice_id=${chart}`, { timeout: 120_000 });
  await page.waitForSelector('canvas', { timeout: 120_000 });
  await page.waitForTimeout(2_000);
  await page.screenshot({ path: picture });
} finally {
  await browser.close();
}
