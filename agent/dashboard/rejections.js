/** @import { PeerStats, Rejection } from '../http/stats-schema.ts' */

import { timeOfDay } from './amounts.js';
import { nameOfPath, nameOfSource } from './names.js';
import { html } from './preact.js';

/**
 * Answers that failed verification, and why.
 * @param {{ rejections: readonly Rejection[], peers: readonly PeerStats[] }} props
 */
export function Rejections({ rejections, peers }) {
  return html`
    <section aria-labelledby="rejections">
      <div class="title"><h2 id="rejections">Rejected answers</h2></div>
      <div class="rejected scroll" tabindex="0" role="region" aria-labelledby="rejections">
        ${rejections.length === 0 && html`<p class="empty">None. Everything that came was signed by a trusted key and was what it claimed to be.</p>`}
        ${
          rejections.length > 0 &&
          html`
            <table>
              <thead>
                <tr><th scope="col">Time</th><th scope="col">What</th><th scope="col">From</th></tr>
              </thead>
              <tbody>
                ${rejections.map((rejection) => html`<${Row} rejection=${rejection} peers=${peers} />`)}
              </tbody>
            </table>`
        }
      </div>
    </section>`;
}

/** @param {{ rejection: Rejection, peers: readonly PeerStats[] }} props */
function Row({ rejection: { time, kind, path, source, reason }, peers }) {
  return html`
    <tr>
      <td class="soft">${timeOfDay(time)}</td>
      <td class="name" title=${path}>
        <span class="path">${nameOfPath(path)}</span> <span class="soft">${kind}</span>
        <span class="why">${reason}</span>
      </td>
      <td class="name">${nameOfSource(source, peers)}</td>
    </tr>`;
}
