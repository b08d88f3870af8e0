/** @import { Counts, Day } from '../telemetry/counts-schema.ts' */
/** @import { Known } from './state.js' */
import { dayOfYear, readableBytes, readableShare, readableTime } from './amounts.js';
import { html } from './preact.js';
import { today } from './today.js';

/** @typedef {Pick<Day['narinfo'], 'requests' | 'hits' | 'misses'>} Requests */
/** @typedef {{ bytes: Counts['bytes'], narinfo: Requests, nar: Requests }} Counted */

/** Keeps the place of a line that is to come. */
const unknown = '\u00a0';

/**
 * What narrowcast has been good for: today in a sentence, and longer spans in a table.
 * @param {{ known: Known, now: number }} props
 */
export function Summary({ known, now }) {
  const { stats } = known;
  const counted = today(known, now);
  return html`
    <section class="wide today" aria-labelledby="today">
      <div>
        <h2 id="today" class="sr">Today</h2>
        ${counted === undefined ? html`<p class="claim"></p>` : html`<${Claim} counted=${counted} />`}
        <${Shares} bytes=${counted?.bytes} />
      </div>
      <table>
        <caption class="sr">What came from where, and how often no upstream was needed</caption>
        <thead>
          <tr>
            <td></td>
            <th scope="col" class="number">Arrived</th>
            <th scope="col" class="number">Upstream</th>
            <th scope="col" class="number spare">Wasted</th>
            <th scope="col" class="number">Narinfo hits</th>
            <th scope="col" class="number">NAR hits</th>
          </tr>
        </thead>
        <tbody>
          <${Span} name="Today" counted=${counted} />
          <${Span}
            name="Since start"
            note=${stats ? readableTime(now - Date.parse(stats.startedAt)) : unknown}
            counted=${stats?.sinceStart}
          />
          <${Span} name="In total" note=${stats ? `since ${dayOfYear(stats.totalsSince)}` : unknown} counted=${stats?.totals} />
        </tbody>
      </table>
    </section>`;
}

/** @param {{ counted: Counted }} props */
function Claim({ counted: { bytes, narinfo, nar } }) {
  if (narinfo.requests + nar.requests === 0) return html`<p class="claim">Nothing asked for yet today.</p>`;
  const came = arrived(bytes);
  return html`
    <p class="claim">
      ${readableBytes(came)} arrived today.
      <br />
      ${crossed(bytes.fromUpstream, came)}
    </p>`;
}

/** @param {number} upstream @param {number} came */
function crossed(upstream, came) {
  if (upstream === 0) return 'Nothing crossed your downlink.';
  if (upstream > 0.99 * came) return 'All of it crossed your downlink.';
  return html`<em>${readableShare(came - upstream, came)}</em> did not cross your downlink.`;
}

/** @param {{ bytes: Counts['bytes'] | undefined }} props */
function Shares({ bytes }) {
  const { fromUpstream = 0, fromLan = 0, fromDisk = 0 } = bytes ?? {};
  const parts = { upstream: fromUpstream, lan: fromLan, disk: fromDisk };
  return html`
    <div class="shares" aria-hidden="true">
      ${Object.entries(parts).map(([name, amount]) => amount > 0 && html`<i key=${name} class=${name} style=${{ flexGrow: amount }}></i>`)}
    </div>
    <ul class="key tiles">
      <li class="of-upstream">upstream<b>${readableBytes(fromUpstream)}</b></li>
      <li class="of-lan">LAN<b>${readableBytes(fromLan)}</b></li>
      <li class="of-disk">this disk<b>${readableBytes(fromDisk)}</b></li>
    </ul>`;
}

/** @param {{ name: string, note?: string | undefined, counted: Counted | undefined }} props */
function Span({ name, note, counted }) {
  return html`
    <tr>
      <th scope="row">${name}${note && html`<span class="why">${note}</span>`}</th>
      <td class="number">${counted ? readableBytes(arrived(counted.bytes)) : '–'}</td>
      <td class="number">${counted ? readableBytes(counted.bytes.fromUpstream) : '–'}</td>
      <td class="number spare">${counted ? readableBytes(counted.bytes.wasted) : '–'}</td>
      <td class="number">${counted ? hitRatio(counted.narinfo) : '–'}</td>
      <td class="number">${counted ? hitRatio(counted.nar) : '–'}</td>
    </tr>`;
}

/** @param {{ hits: number, misses: number }} counted */
function hitRatio({ hits, misses }) {
  return readableShare(hits, hits + misses);
}

/** @param {Counts['bytes']} bytes */
function arrived({ fromDisk, fromLan, fromUpstream }) {
  return fromDisk + fromLan + fromUpstream;
}
