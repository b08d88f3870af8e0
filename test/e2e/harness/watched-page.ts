import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Browser, BrowserContextOptions, Page } from 'playwright-core';

/** Where pictures for people go. */
const pictures = join(import.meta.dirname, '../../../test-output');

/** A page of a browser that notes whatever should not happen. */
export interface WatchedPage extends AsyncDisposable {
  readonly page: Page;
  /** Errors and warnings on the console, uncaught errors, and requests to anywhere but this origin. */
  readonly faults: readonly string[];
  /** How far things jumped about since the page was opened, as Chromium's cumulative layout shift. */
  layoutShift(): Promise<number>;
  /** Writes what the whole page looks like to test-output/NAME.png. */
  picture(name: string): Promise<void>;
}

/** Opens a page at this address. */
export async function openPage(
  browser: Browser,
  url: string,
  options: BrowserContextOptions = {},
): Promise<WatchedPage> {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...options });
  const page = await context.newPage();
  const faults: string[] = [];
  page.on('console', (message) => {
    if (['error', 'warning'].includes(message.type())) faults.push(message.text());
  });
  page.on('pageerror', (error) => faults.push(String(error)));
  page.on('request', (request) => {
    if (new URL(request.url()).origin !== url) faults.push(`asks ${request.url()}`);
  });
  await page.addInitScript(`
    globalThis.layoutShift = 0;
    new PerformanceObserver((list) => {
      for (const { value, hadRecentInput } of list.getEntries()) if (!hadRecentInput) layoutShift += value;
    }).observe({ type: 'layout-shift', buffered: true });`);
  await page.goto(url);
  return {
    page,
    faults,
    layoutShift: async () => Number(await page.evaluate('layoutShift')),
    async picture(name) {
      mkdirSync(pictures, { recursive: true });
      await page.screenshot({ path: join(pictures, `${name}.png`), fullPage: true, animations: 'disabled' });
    },
    [Symbol.asyncDispose]: () => context.close(),
  };
}
