import type { Scenario } from './scenario.ts';
import { away } from './scenarios/away.ts';
import { home } from './scenarios/home.ts';
import { hostileCafe } from './scenarios/hostile-cafe.ts';
import { piDies } from './scenarios/pi-dies.ts';
import { plane } from './scenarios/plane.ts';
import { push } from './scenarios/push.ts';
import { roam } from './scenarios/roam.ts';
import { twoLaptops } from './scenarios/two-laptops.ts';

/** All of them, in the order in which they are played. */
export const scenarios: readonly Scenario[] = [
  home,
  away,
  roam,
  piDies,
  plane,
  twoLaptops,
  hostileCafe,
  push,
];
