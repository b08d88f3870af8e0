/** The dashboard of a real agent in real Chromium. */
import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Fixture, smallClosure } from '../fixtures/closure.ts';
import { Lab, labForbidden } from './discovery/lab.ts';
import { type BigNar, bigNar } from './harness/big-nar.ts';
import { noChromium, startChromium } from './harness/chromium.ts';
import { download, narUrl, sha256Of } from './harness/download.ts';
import { startAgent } from './harness/lan-agent.ts';
import { LanNginx } from './harness/lan-nginx.ts';
import { PacedUpstream } from './harness/paced-upstream.ts';
import { privateStoreSkipReason } from './harness/private-store.ts';
import { RelayProcess } from './harness/relay-process.ts';
import { skippable } from './harness/skippable.ts';
import { openPage } from './harness/watched-page.ts';

/** For what happens within seconds, unless the machine is busy. */
const soon = { timeout: 20_000 };

skippable(describe, noChromium ?? privateStoreSkipReason())('the dashboard of a real agent', () => {
  let big: BigNar;
  let browser: Browser;
  beforeAll(async () => {
    big = await bigNar(20);
    browser = await startChromium();
  });
  afterAll(() => browser.close());

  it('shows a running transfer advance to its end', { timeout: 90_000 }, async () => {
    const { dir, fileSize } = big.caches.zstd;
    await using upstream = await PacedUpstream.start(dir, 1_000_000);
    await using relay = await RelayProcess.start({
      substituters: [upstream.url],
      'trusted-public-keys': [big.publicKey],
    });
    await using watched = await openPage(browser, relay.url);
    const { page } = watched;
    await page.getByText('Nothing asked for yet today.').waitFor();

    const got = download(await narUrl(relay.url, big));
    const item = page.getByRole('listitem').filter({ hasText: /^big/ });
    const bar = item.getByRole('progressbar', { name: 'big' });
    await bar.waitFor();
    expect(Number(await bar.getAttribute('max'))).toBe(fileSize);
    const seen: number[] = [];
    for (let look = 0; look < 4; look += 1) {
      await expect
        .poll(async () => Number(await bar.getAttribute('value')), soon)
        .toBeGreaterThan(seen.at(-1) ?? 0);
      seen.push(Number(await bar.getAttribute('value')));
    }
    const text = await item.innerText();
    expect(text).toMatch(/\d+ s left/);
    expect(text).toMatch(/\d of [\d.]+ MiB, \d+ KiB\/s/);
    expect(text).toContain(new URL(upstream.url).host);
    await watched.picture('dashboard-real-transfer');

    upstream.bytesPerSecond = 1e9;
    expect(await got).toMatchObject({ status: 200, complete: true, sha256: sha256Of(big) });
    await item.waitFor({ state: 'detached' });
    await page.getByRole('row', { name: /big nar miss/ }).waitFor();
    await page.getByText(/MiB arrived today\.\s*All of it crossed your downlink/).waitFor();

    expect(await download(await narUrl(relay.url, big))).toMatchObject({ status: 200, complete: true });
    await page.getByRole('row', { name: /big nar hit/ }).waitFor();
    await page.getByText(/MiB arrived today\.\s*50 % did not cross your downlink/).waitFor();
    expect(watched.faults).toEqual([]);
  });

  it('follows an agent that is started anew', { timeout: 60_000 }, async () => {
    const relay = await RelayProcess.start({ substituters: [] });
    await using watched = await openPage(browser, relay.url);
    const head = watched.page.getByRole('banner');
    await head.getByText('live', { exact: true }).waitFor();
    await relay[Symbol.asyncDispose]();
    await head.getByText('not answering since').waitFor();
    await using _again = await RelayProcess.start({
      substituters: [],
      listen: `localhost:${new URL(relay.url).port}`,
    });
    await head.getByText('live', { exact: true }).waitFor();
  });
});

skippable(describe, noChromium ?? labForbidden() ?? privateStoreSkipReason())(
  'the dashboard on a LAN',
  () => {
    let fixture: Fixture;
    let lab: Lab;
    beforeAll(async () => {
      fixture = await smallClosure();
      lab = new Lab();
      lab.addLan('home');
      for (const [host, address] of [
        ['laptop', '10.7.0.1'],
        ['stranger', '10.7.0.2'],
      ] as const) {
        lab.addHost(host);
        lab.plug(host, 'eth0', 'home', address);
      }
    });
    afterAll(() => lab.close());

    it('shows a cache appear and go, whatever it calls itself', { timeout: 120_000 }, async () => {
      const name = "<img src=x onerror=document.title='owned'>";
      await using agent = await startAgent(lab, 'laptop', fixture);
      const browser = await startChromium(lab.on('laptop'));
      try {
        await using watched = await openPage(browser, agent.url);
        const { page } = watched;
        const sources = page.getByRole('region', { name: 'Sources' });
        await sources.getByText('None. Caches that announce themselves appear here.').waitFor();

        const nginx = await LanNginx.start(lab, 'stranger', fixture.dir);
        const escaped = name.replace('<', '&lt;').replace('>', '&gt;');
        await lab.avahi('stranger', [{ name: escaped, type: '_nix-cache._tcp', port: 80 }]);
        const row = sources.getByRole('row').filter({ hasText: name });
        await row.filter({ hasText: 'up' }).waitFor();
        await page.getByText('At home: a cache on the LAN is up').waitFor();
        await expect
          .poll(() => page.getByRole('log').textContent(), soon)
          .toContain(`${name} on the LAN is up`);
        await watched.picture('dashboard-real-peer');
        expect(await page.locator('main img').count()).toBe(0);
        expect(await page.title()).toBe('narrowcast');

        await nginx[Symbol.asyncDispose]();
        lab.cut('stranger', 'eth0');
        await row.filter({ hasText: 'up' }).waitFor({ state: 'detached', timeout: 60_000 });
        await page.getByText('Away: no cache on the LAN').waitFor();
        expect(watched.faults).toEqual([]);
      } finally {
        await browser.close();
      }
    });
  },
);
