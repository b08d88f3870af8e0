/** @import { PeerStats, SourceStats, Stats } from '../http/stats-schema.ts' */
import { readableBytes, readableLatency } from './amounts.js';
import { isSame } from './names.js';
import { html } from './preact.js';

const states = {
  up: ['good', 'up'],
  down: ['bad', 'down'],
  captive: ['poor', 'captive'],
  unknown: ['', 'not asked yet'],
  checking: ['', 'being checked'],
};

/**
 * Where bytes can come from: the caches on the LAN, and the configured ones.
 * @param {{ stats: Stats | undefined }} props
 */
export function Sources({ stats }) {
  const { peers = [], sources = [] } = stats ?? {};
  const configured = sources.filter(({ id }) => !peers.some(({ url }) => isSame(id, url)));
  const gave = (/** @type {SourceStats | undefined} */ source) =>
    source && stats?.sinceStart.nar.bySource[source.id]?.bytes;
  return html`
    <section class="tall" aria-labelledby="sources">
      <div class="title"><h2 id="sources">Sources</h2></div>
      <div class="sources scroll" tabindex="0" role="region" aria-labelledby="sources">
        <table>
          <thead>
            <tr>
              <th scope="col">Cache</th>
              <th scope="col">State</th>
              <th scope="col" class="number">Latency</th>
              <th scope="col" class="number spare">Rate</th>
              <th scope="col" class="number spare">Gave</th>
            </tr>
          </thead>
          <tbody>
            <${Wide} class="group"><th colspan="3" scope="rowgroup">On the LAN</th><//>
            ${peers.map((peer) => {
              const source = sources.find(({ id }) => isSame(id, peer.url));
              return html`<${Source} key=${peer.url} ...${ofPeer(peer, source)} gave=${gave(source)} />`;
            })}
            ${stats?.network.addresses
              .filter(({ mdnsTrouble }) => mdnsTrouble !== null)
              .map(
                (one) =>
                  html`<${Wide}><td colspan="3" class="name"><span class="state poor">${one.interface}</span> ${one.mdnsTrouble}</td><//>`,
              )}
            ${peers.length === 0 && html`<${Wide}><td colspan="3" class="soft">None. Caches that announce themselves appear here.</td><//>`}
          </tbody>
          <tbody>
            <${Wide} class="group"><th colspan="3" scope="rowgroup">Substituters</th><//>
            ${configured.map((source) => html`<${Source} key=${source.id} ...${ofSource(source)} gave=${gave(source)} />`)}
            ${configured.length === 0 && html`<${Wide}><td colspan="3" class="soft">None.</td><//>`}
          </tbody>
        </table>
      </div>
    </section>`;
}

/**
 * A row of one cell as wide as the columns that a phone shows.
 * @param {{ class?: string, children: unknown }} props
 */
function Wide({ class: name, children }) {
  return html`<tr class=${name}>${children}<td class="spare" colspan="2"></td></tr>`;
}

/**
 * @typedef {object} Row
 * @property {string} name
 * @property {string | undefined} address
 * @property {keyof typeof states} state
 * @property {string | null} reason
 * @property {number | null} latency
 * @property {number | null} rate
 */

/** @param {Row & { gave: number | undefined }} props */
function Source({ name, address, state, reason, latency, rate, gave }) {
  const [mood, word] = states[state];
  return html`
    <tr>
      <th scope="row" class="name">
        ${name}
        ${address && html`<span class="why">${address}</span>`}
      </th>
      <td class="name">
        <span class=${`state ${mood}`}>${word}</span>
        ${reason && html`<span class="why">${reason}</span>`}
      </td>
      <td class="number">${readableLatency(latency)}</td>
      <td class="number spare">${rate === null ? '–' : `${readableBytes(rate)}/s`}</td>
      <td class="number spare">${gave === undefined ? '–' : readableBytes(gave)}</td>
    </tr>`;
}

/** @param {PeerStats} peer @param {SourceStats | undefined} source @returns {Row} */
function ofPeer({ name, url, state, reason, latencyMs }, source) {
  const { host } = new URL(url);
  return {
    name,
    address: host === name ? undefined : host,
    state,
    reason,
    latency: source?.latencyMs ?? latencyMs,
    rate: source?.bytesPerSecond ?? null,
  };
}

/** @param {SourceStats} source @returns {Row} */
function ofSource({ id, health, reason, latencyMs, bytesPerSecond }) {
  return {
    name: id.replace(/^https:\/\//, ''),
    address: undefined,
    state: health,
    reason,
    latency: latencyMs,
    rate: bytesPerSecond,
  };
}
