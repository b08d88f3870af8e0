/** @import { Day } from '../telemetry/counts-schema.ts' */
/** @import { Rates } from './rates.js' */
import { readableBytes } from './amounts.js';
import { Chart } from './chart.js';
import { html, useState } from './preact.js';

/**
 * The section with the chart.
 * @param {{ rates: Rates, history: readonly Day[] }} props
 */
export function FlowSection({ rates, history }) {
  const [daily, setDaily] = useState(false);
  const flow = daily ? ofDays(history) : rates;
  const moved = flow.series.some((amounts) => amounts.some((amount) => amount > 0));
  const choice = (/** @type {boolean} */ value, /** @type {string} */ text) => html`
    <label>
      <input class="sr" type="radio" name="range" checked=${daily === value} onChange=${() => setDaily(value)} />
      ${text}
    </label>`;
  return html`
    <section aria-labelledby="flow">
      <div class="title">
        <h2 id="flow">Where bytes come from</h2>
        <fieldset class="range">
          <legend class="sr">Time shown</legend>
          ${choice(false, '5 minutes')} ${choice(true, '90 days')}
        </fieldset>
      </div>
      <ul class="key">
        <li class="of-upstream">upstream</li>
        <li class="of-lan">LAN</li>
        <li class="of-disk">this disk</li>
      </ul>
      <div class="canvas">
        <${Chart} key=${daily} flow=${flow} daily=${daily} label=${spoken(flow, daily)} />
        ${moved || html`<p class="empty">${daily ? 'Nothing came in the last 90 days.' : 'The chart fills while this page is open.'}</p>`}
      </div>
    </section>`;
}

/** @param {readonly Day[]} history */
function ofDays(history) {
  return {
    times: history.map(({ day }) => new Date(`${day}T00:00`).getTime() / 1_000),
    series: [
      history.map(({ bytes }) => bytes.fromUpstream),
      history.map(({ bytes }) => bytes.fromLan),
      history.map(({ bytes }) => bytes.fromDisk),
    ],
  };
}

/** @param {{ series: readonly (readonly number[])[] }} flow @param {boolean} daily */
function spoken({ series }, daily) {
  const amount = ([...values] = /** @type {readonly number[]} */ ([])) =>
    daily
      ? readableBytes(values.reduce((sum, value) => sum + value, 0))
      : `${readableBytes(values.at(-1) ?? 0)}/s`;
  const [upstream, lan, disk] = series.map(amount);
  return `${daily ? 'In the last 90 days' : 'Now'}: ${upstream} from upstreams, ${lan} from the LAN, ${disk} from this disk`;
}
