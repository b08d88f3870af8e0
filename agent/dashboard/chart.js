import { dayOfYear, hourAndMinute, readableBytes } from './amounts.js';
import { html, useLayoutEffect, useRef } from './preact.js';
import { kept } from './rates.js';
import UPlot from './uplot.js';

/**
 * Amounts from upstreams, the LAN and the disk over time (seconds since the epoch): bytes a second, or bytes a day.
 * @typedef {object} Flow
 * @property {readonly number[]} times
 * @property {readonly (readonly number[])[]} series
 */

const height = 250;
/** Bytes between two lines of the grid: powers of two. */
const steps = Array.from({ length: 50 }, (_, power) => 2 ** power);
const dark = matchMedia('(prefers-color-scheme: dark)');

/**
 * Where bytes came from, stacked, over the last minutes or days.
 * @param {{ flow: Flow, daily: boolean, label: string }} props
 */
export function Chart({ flow, daily, label }) {
  const place = useRef(/** @type {HTMLElement | null} */ (null));
  const plot = useRef(/** @type {UPlot | undefined} */ (undefined));

  useLayoutEffect(() => {
    const element = place.current;
    if (element === null) return undefined;
    const draw = () => {
      plot.current?.destroy();
      plot.current = new UPlot(options(element, daily), stacked(flow), element);
    };
    const fit = new ResizeObserver(() => plot.current?.setSize({ width: element.clientWidth, height }));
    draw();
    fit.observe(element);
    dark.addEventListener('change', draw);
    return () => {
      fit.disconnect();
      dark.removeEventListener('change', draw);
      plot.current?.destroy();
      plot.current = undefined;
    };
  }, [daily]);

  useLayoutEffect(() => {
    plot.current?.setData(stacked(flow));
    return undefined;
  });

  return html`<div class="plot" ref=${place} role="img" aria-label=${label}></div>`;
}

/**
 * The highest layer first: each is painted over the one before.
 * @param {Flow} flow
 * @returns {UPlot.AlignedData}
 */
function stacked({ times, series: [upstream = [], lan = [], disk = []] }) {
  const two = upstream.map((amount, index) => amount + (lan[index] ?? 0));
  const three = two.map((amount, index) => amount + (disk[index] ?? 0));
  return [[...times], three, two, [...upstream]];
}

/**
 * @param {HTMLElement} element
 * @param {boolean} daily
 * @returns {UPlot.Options}
 */
function options(element, daily) {
  const style = getComputedStyle(element);
  const colour = (/** @type {string} */ name) => style.getPropertyValue(`--${name}`).trim();
  const paths = daily ? UPlot.paths.bars?.({ size: [0.7, 24], align: 0 }) : undefined;
  const layer = (/** @type {string} */ name) => ({
    fill: colour(name),
    stroke: colour(name),
    width: 0,
    points: { show: false },
    ...(paths && { paths }),
  });
  const axis = {
    stroke: colour('soft'),
    font: `12px ${style.fontFamily}`,
    grid: { stroke: colour('line'), width: 1 },
    ticks: { show: false },
  };
  return {
    width: element.clientWidth,
    height,
    padding: [10, 12, 0, 0],
    legend: { show: false },
    cursor: { show: false },
    scales: {
      x: { range: daily ? days : lastMinutes },
      y: { range: (_plot, _min, max) => [0, Math.max(max * 1.08, 1024)] },
    },
    axes: [
      {
        ...axis,
        size: 28,
        space: 70,
        incrs: daily ? [7, 14, 28].map((days) => days * 86_400) : [60, 120],
        values: (_plot, times) => times.map((time) => (daily ? dayOfYear : hourAndMinute)(time * 1_000)),
      },
      {
        ...axis,
        size: 82,
        gap: 8,
        incrs: steps,
        values: (_plot, amounts) => amounts.map((amount) => `${readableBytes(amount)}${daily ? '' : '/s'}`),
      },
    ],
    series: [{}, layer('disk'), layer('lan'), layer('upstream')],
  };
}

/** @returns {[number, number]} */
function lastMinutes() {
  const now = Date.now() / 1_000;
  return [now - kept, now];
}

/** @returns {[number, number]} */
function days() {
  const today = new Date().setHours(0, 0, 0, 0) / 1_000;
  return [today - 89.5 * 86_400, today + 0.5 * 86_400];
}
