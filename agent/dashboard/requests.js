/** @import { FinishedRequest, PeerStats } from '../http/stats-schema.ts' */
import { readableBytes, readableCount, readableLatency, timeOfDay } from './amounts.js';
import { nameOfPath, nameOfSource } from './names.js';
import { html, useMemo, useState } from './preact.js';

/** What became of a request, and how well that is. */
const results = /** @type {const} */ ({
  hit: 'good',
  miss: '',
  absent: '',
  rejected: 'bad',
  failed: 'bad',
  left: 'poor',
});

/** More rows than anybody reads. */
const maxRows = 100;

/**
 * What Nix asked lately, with a filter.
 * @param {{ requests: readonly FinishedRequest[], peers: readonly PeerStats[] }} props
 */
export function Requests({ requests, peers }) {
  const [words, setWords] = useState('');
  const [result, setResult] = useState('');
  const fitting = useMemo(
    () => requests.filter((request) => fits(request, words, result, peers)),
    [requests, words, result, peers],
  );
  // Drawn anew only when something has changed: the page is drawn each second.
  const rows = useMemo(
    () => fitting.slice(0, maxRows).map((request) => html`<${Request} request=${request} peers=${peers} />`),
    [fitting, peers],
  );
  return html`
    <section class="wide" aria-labelledby="requests">
      <div class="title">
        <h2 id="requests">Recent requests</h2>
        <search class="filter">
          <input
            type="search"
            placeholder="Filter by path or source"
            aria-label="Filter requests by path or source"
            value=${words}
            onInput=${(/** @type {{ currentTarget: HTMLInputElement }} */ { currentTarget }) => setWords(currentTarget.value)}
          />
          <select
            aria-label="Result"
            value=${result}
            onChange=${(/** @type {{ currentTarget: HTMLSelectElement }} */ { currentTarget }) => setResult(currentTarget.value)}
          >
            <option value="">every result</option>
            ${Object.keys(results).map((name) => html`<option value=${name}>${name}</option>`)}
          </select>
        </search>
      </div>
      <div class="requests scroll" tabindex="0" role="region" aria-labelledby="requests">
        <table>
          <thead>
            <tr>
              <th scope="col">Time</th>
              <th scope="col">What</th>
              <th scope="col">Result</th>
              <th scope="col" class="spare">From</th>
              <th scope="col" class="number spare">Size</th>
              <th scope="col" class="number">Took</th>
            </tr>
          </thead>
          <tbody>
            ${rows}
          </tbody>
        </table>
        ${requests.length === 0 && html`<p class="empty">None yet. Nix comes here once nix.conf says <code>substituters = ${location.origin}</code>.</p>`}
        ${requests.length > 0 && fitting.length === 0 && html`<p class="empty">None of the last ${readableCount(requests.length)} requests fits this filter.</p>`}
      </div>
    </section>`;
}

/** @param {{ request: FinishedRequest, peers: readonly PeerStats[] }} props */
function Request({ request, peers }) {
  const { time, kind, path, result, source, bytes, ms, reason } = request;
  return html`
    <tr>
      <td class="soft">${timeOfDay(time)}</td>
      <td class="name" title=${path}>
        <span class="path">${nameOfPath(path)}</span>
        ${kind !== 'other' && html` <span class="soft">${kind}</span>`}
        ${reason && html`<span class="why">${reason}</span>`}
      </td>
      <td><span class=${`state ${results[result]}`}>${result}</span></td>
      <td class="spare name">${nameOfSource(source, peers)}</td>
      <td class="number spare">${readableBytes(bytes)}</td>
      <td class="number">${readableLatency(ms)}</td>
    </tr>`;
}

/**
 * @param {FinishedRequest} request
 * @param {string} words
 * @param {string} result
 * @param {readonly PeerStats[]} peers
 */
function fits(request, words, result, peers) {
  if (result !== '' && request.result !== result) return false;
  const text =
    `${request.path} ${request.kind} ${request.source ?? ''} ${nameOfSource(request.source, peers)}`.toLowerCase();
  return words
    .toLowerCase()
    .split(/\s+/)
    .every((word) => text.includes(word));
}
