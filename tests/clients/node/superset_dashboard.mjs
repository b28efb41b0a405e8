// Opens a dashboard of Superset in a headless Chromium, clicks one value of its filter and applies it; a picture before and after.
// Prints the big number that was shown before and after.
import { createRequire } from 'node:module';
const require = createRequire(`${process.env.NODE_ROOT}/`);
const { chromium } = require('playwright-core');

const [base, dashboard, value, before, after] = process.argv.slice(2);
const browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args: ['--no-sandbox', '--disable-gpu'] });
const NUMBER = '.superset-legacy-chart-big-number .header-line';

/** The big number once it is there, and once it is another than `known`. */
async function number(page, known = '') {
  await page.waitForFunction(([selector, old]) => {
    const shown = document.querySelector(selector)?.textContent.trim();
    return shown && shown !== old;
  }, [NUMBER, known], { timeout: 120_000 });
  return (await page.textContent(NUMBER)).trim();
}

async function picture(page, path) {
  await page.waitForSelector('canvas', { timeout: 120_000 });
  await page.waitForTimeout(2_500);
  await page.screenshot({ path });
}

try {
  const page = await browser.newPage({ viewport: { width: 1280, height: 720 } });
  const login = await page.request.post(`${base}/login/`, { form: { username: 'admin', password: 'admin' }, maxRedirects: 0 });
  if (login.status() !== 302) throw new Error(`login answers ${login.status()}`);
  await page.goto(`${base}/superset/dashboard/${dashboard}/`, { timeout: 120_000 });
  const first = await number(page);
  await picture(page, before);
  await page.click('[data-test="filter-bar"] .ant-select, .filter-item-wrapper .ant-select', { timeout: 60_000 });
  await page.click(`.ant-select-item-option[title="${value}"], .ant-select-item-option:has-text("${value}")`, { timeout: 60_000 });
  await page.keyboard.press('Escape');
  await page.click('[data-test="filter-bar__apply-button"]', { timeout: 60_000 });
  const second = await number(page, first);
  await picture(page, after);
  console.log(JSON.stringify([first, second]));
} finally {
  await browser.close();
}
