/** @import { Condition } from './connection.js' */
import { news, newsOfCondition } from './announcements.js';
import { follow } from './connection.js';
import { Page } from './page.js';
import { html, render } from './preact.js';
import { every, Rates } from './rates.js';
import { nothingKnown, told } from './state.js';
import { dayOf } from './today.js';

const root = /** @type {HTMLElement} */ (document.getElementById('page'));
const rates = new Rates();
let known = nothingKnown;
let condition = /** @type {Condition} */ ('connecting');
let heardAt = 0;
let day = dayOf(Date.now());
/** @type {string[]} */
let said = [];
let drawing = false;

/** Draws once before the next frame, however much has happened. */
function draw() {
  if (drawing) return;
  drawing = true;
  requestAnimationFrame(() => {
    drawing = false;
    render(
      html`<${Page} ...${{ known, rates, condition, heardAt, now: Date.now(), said: said.join('. ') }} />`,
      root,
    );
  });
}

const refresh = follow({
  hear(event) {
    const before = known.stats;
    known = told(known, event);
    heardAt = Date.now();
    const fresh = news(before, known.stats);
    if (fresh.length > 0) said = fresh;
    draw();
  },
  become(next) {
    if (next === condition) return;
    if (condition !== 'connecting') said = [newsOfCondition[next]];
    condition = next;
    draw();
  },
});

setInterval(() => {
  if (known.stats !== undefined && condition !== 'lost')
    rates.add(Date.now() / 1_000, known.stats.sinceStart.bytes);
}, every * 1_000);

setInterval(() => {
  const now = Date.now();
  if (dayOf(now) !== day) {
    day = dayOf(now);
    refresh();
  }
  draw();
}, 1_000);

draw();
