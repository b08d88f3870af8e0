/** The dashboard in real Chromium, with figures made up for it: how it looks, reads, and behaves when it is left alone. */
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { emptyCounts } from '../../agent/telemetry/counts.ts';
import { noChromium, startChromium } from './harness/chromium.ts';
import { busyFigures, countsOf, emptyFigures } from './harness/dashboard-figures.ts';
import { DashboardScene } from './harness/dashboard-scene.ts';
import { skippable } from './harness/skippable.ts';
import { openPage } from './harness/watched-page.ts';

const phone = { viewport: { width: 360, height: 740 } };
const axe = createRequire(import.meta.url).resolve('axe-core/axe.min.js');
/** For what happens at once, unless the machine is busy. */
const soon = { timeout: 15_000 };
const evil = '<img src=x onerror="document.title=`owned`"><script>document.title=`owned`</script>';

skippable(describe, noChromium)('the dashboard in Chromium', () => {
  let browser: Browser;
  beforeAll(async () => {
    browser = await startChromium();
  });
  afterAll(() => browser.close());

  it('is there within 300 ms', async () => {
    await using scene = await DashboardScene.start(busyFigures());
    await using watched = await openPage(browser, scene.url);
    const { page } = watched;
    await page.getByText('did not cross your downlink').waitFor();
    await page.addInitScript(`new MutationObserver((_, observer) => {
      if (!document.querySelector('.claim')?.textContent.includes('downlink')) return;
      globalThis.figuresAt = performance.now();
      observer.disconnect();
    }).observe(document, { subtree: true, childList: true, characterData: true })`);
    const times: number[] = [];
    for (let load = 0; load < 5; load += 1) {
      await page.reload();
      await page.getByText('did not cross your downlink').waitFor();
      times.push(Number(await page.evaluate('figuresAt')));
    }
    process.stdout.write(`figures are shown after ${times.map(Math.round).join(', ')} ms\n`);
    // The best of them is the page's; what the others have more is the machine's.
    expect(Math.min(...times)).toBeLessThan(300);
    expect(watched.faults).toEqual([]);
  });

  for (const [name, figures] of [
    ['busy', busyFigures],
    ['empty', emptyFigures],
  ] as const) {
    for (const colorScheme of ['light', 'dark'] as const) {
      for (const [size, options] of [
        ['desk', {}],
        ['phone', phone],
      ] as const) {
        it(`can be read by everybody: ${name}, ${colorScheme}, ${size}`, async () => {
          await using scene = await DashboardScene.start(figures());
          await using watched = await openPage(browser, scene.url, { colorScheme, ...options });
          const { page } = watched;
          await page
            .getByText(/ today\./)
            .first()
            .waitFor();
          if (size === 'phone') await page.getByText('90 days').click();
          await watched.picture(`dashboard-${name}-${colorScheme}-${size}`);
          expect(await page.evaluate('document.documentElement.scrollWidth <= innerWidth')).toBe(true);
          expect(await graveFaults(page)).toEqual([]);
          expect(watched.faults).toEqual([]);
        });
      }
    }
  }

  it('shows what was uploaded, where anything ever was', async () => {
    const figures = emptyFigures();
    await using scene = await DashboardScene.start(figures);
    await using watched = await openPage(browser, scene.url, phone);
    const region = watched.page.getByRole('region', { name: 'Cache directory' });
    await region.getByText('Not stored').waitFor();
    expect(await region.getByText('Uploaded today').count()).toBe(0);
    const { totals, latency } = figures.stats;
    const uploads = {
      ...emptyCounts().uploads,
      paths: 1_204,
      bytes: 217 * 1024 ** 2,
      unauthorized: 3,
      cut: 1,
    };
    const counts = { ...totals, uploads };
    scene.tell({ type: 'counters', sinceStart: counts, totals: counts, latency });
    await region.getByText('1,204, 217 MiB').waitFor();
    await region.getByText('3 no known token, 1 cut off').waitFor();
    await watched.picture('dashboard-uploads-phone');
    expect(await watched.page.evaluate('document.documentElement.scrollWidth <= innerWidth')).toBe(true);
    expect(watched.faults).toEqual([]);
  });

  it('shows names from the network as text', async () => {
    const { stats, recent } = busyFigures();
    const peers = stats.peers.map((peer) => ({ ...peer, name: evil, reason: evil }));
    const requests = recent.requests.map((request) => ({ ...request, path: evil, reason: evil }));
    const rejections = recent.rejections.map((rejection) => ({
      ...rejection,
      path: evil,
      source: evil,
      reason: evil,
    }));
    const sources = stats.sources.map((source) => ({ ...source, id: evil, reason: evil }));
    const transfers = stats.transfers.map((transfer) => ({ ...transfer, storePath: evil, source: evil }));
    const figures = { stats: { ...stats, peers, sources, transfers }, recent: { requests, rejections } };
    await using scene = await DashboardScene.start(figures);
    await using watched = await openPage(browser, scene.url);
    const { page } = watched;
    await page.getByRole('region', { name: 'Sources' }).getByText(evil).first().waitFor();
    expect(await page.locator('main img, main script').count()).toBe(0);
    expect(await page.title()).toBe('narrowcast');
    expect(watched.faults).toEqual([]);
  });

  it('follows what happens, without anything jumping about', async () => {
    const figures = emptyFigures();
    await using scene = await DashboardScene.start(figures);
    await using watched = await openPage(browser, scene.url);
    const { page } = watched;
    await page.getByText('Nothing asked for yet today.').waitFor();

    const busy = busyFigures();
    const [transfer] = busy.stats.transfers;
    const [peer] = busy.stats.peers;
    if (transfer === undefined || peer === undefined) throw new Error('nothing to show');
    const bar = page.getByRole('progressbar', { name: 'linux-6.18.2' });
    scene.tell({ type: 'transfer', transfer: { ...transfer, received: 0 } });
    await expect.poll(() => bar.getAttribute('value'), soon).toBe('0');
    scene.tell({ type: 'transfer', transfer });
    await expect.poll(() => bar.getAttribute('value'), soon).toBe(String(transfer.received));
    scene.tell({ type: 'transfer-end', storePath: transfer.storePath, result: 'verified' });
    await bar.waitFor({ state: 'detached' });

    const row = page.getByRole('rowheader', { name: 'pi 192.168.0.42:6271' });
    scene.tell({ type: 'peer', peer });
    await row.waitFor();
    await expect.poll(() => page.getByRole('log').textContent(), soon).toContain('pi on the LAN is up');
    scene.tell({ type: 'peer-gone', url: peer.url });
    await row.waitFor({ state: 'detached' });
    await expect.poll(() => page.getByRole('log').textContent(), soon).toContain('pi has left the LAN');

    const counts = countsOf(1024 ** 2, 2 * 1024 ** 2, 1024 ** 2);
    const { latency } = figures.stats;
    scene.tell({ type: 'counters', sinceStart: counts, totals: counts, latency });
    await page.getByText(/4\.0 MiB arrived today\.\s*75 % did not cross/).waitFor();
    for (const request of busy.recent.requests) scene.tell({ type: 'request', request });
    for (const rejection of busy.recent.rejections) scene.tell({ type: 'rejection', rejection });
    await page.getByText('its NarHash is not the signed one').waitFor();
    await page.getByText('python3-3.13.9-man').first().waitFor();
    expect(await watched.layoutShift()).toBeLessThan(0.01);
    expect(watched.faults).toEqual([]);
  });

  it('says when the agent does not answer, and goes on when it does again', async () => {
    await using scene = await DashboardScene.start(busyFigures());
    const { url, port } = scene;
    await using watched = await openPage(browser, url);
    const { page } = watched;
    const head = page.getByRole('banner');
    await head.getByText('live', { exact: true }).waitFor();
    await scene[Symbol.asyncDispose]();
    await head.getByText('not answering since').waitFor();
    await expect
      .poll(() => page.getByRole('log').textContent(), soon)
      .toContain('The agent does not answer; these are its last figures');
    await watched.picture('dashboard-not-answering');
    expect(await graveFaults(page)).toEqual([]);
    await using again = await DashboardScene.start(emptyFigures(), port);
    await head.getByText('live', { exact: true }).waitFor();
    await page.getByText('Nothing asked for yet today.').waitFor();

    await again[Symbol.asyncDispose]();
    await head.getByText('not answering since').waitFor();
    const { stats, recent } = busyFigures();
    await using _newer = await DashboardScene.start({ stats: { ...stats, version: '0.2.0' }, recent }, port);
    const reloaded = page.waitForEvent('load');
    await head.getByText('0.2.0, up').waitFor();
    await reloaded;
  });

  it('asks for /stats where events do not come through', async () => {
    await using scene = await DashboardScene.start(emptyFigures());
    scene.hasEvents = false;
    await using watched = await openPage(browser, scene.url);
    const { page } = watched;
    await page.getByRole('banner').getByText('live, every 2 s').waitFor();
    scene.figures = busyFigures();
    await page.getByText(/2\.1 GiB arrived today\.\s*93 % did not cross/).waitFor();
  });

  it('can be used with the keyboard alone', async () => {
    await using scene = await DashboardScene.start(busyFigures());
    await using watched = await openPage(browser, scene.url);
    const { page } = watched;
    await page.getByText('gcc-15.2.0-lib').first().waitFor();
    const focused = async () => {
      await page.keyboard.press('Tab');
      expect(await page.evaluate(hasVisibleFocus)).toBe(true);
      return await page.evaluate(nameOfFocused);
    };
    expect(await focused()).toBe('5 minutes');
    await page.keyboard.press('ArrowRight');
    await page.getByRole('img', { name: /^In the last 90 days: .* from upstreams/ }).waitFor();
    expect(await focused()).toBe('Being transferred');
    expect(await focused()).toBe('Sources');
    expect(await focused()).toBe('Rejected answers');
    expect(await focused()).toBe('Filter requests by path or source');
    await page.keyboard.type('pi openssl');
    const rows = page.getByRole('region', { name: 'Recent requests' }).getByRole('row');
    await expect.poll(() => rows.filter({ hasText: 'memory' }).count(), soon).toBe(0);
    expect(await rows.filter({ hasText: 'openssl-3.6.0' }).count()).toBeGreaterThan(0);
    expect(await focused()).toBe('Result');
    await page.keyboard.type('failed');
    await page.getByText('None of the last 120 requests fits this filter.').waitFor();
    expect(await focused()).toBe('Recent requests');
    expect(watched.faults).toEqual([]);
  });
});

/** What axe-core finds that keeps people from using the page. */
async function graveFaults(page: Page): Promise<unknown[]> {
  await page.evaluate(await readFile(axe, 'utf8'));
  return await page.evaluate(`axe.run().then(({ violations }) => violations
    .filter(({ impact }) => impact === 'serious' || impact === 'critical')
    .map(({ id, nodes }) => [id, ...nodes.map(({ html, failureSummary }) => html + ': ' + failureSummary)]))`);
}

const nameOfFocused = `(() => {
  const { activeElement: element } = document;
  const label = document.getElementById(element.getAttribute('aria-labelledby'));
  return element.ariaLabel ?? (label ?? element.labels?.[0])?.textContent.trim();
})()`;

const hasVisibleFocus = `(() => {
  const { activeElement: element } = document;
  return [element, ...(element.labels ?? [])].some((one) => getComputedStyle(one).outlineStyle !== 'none');
})()`;
