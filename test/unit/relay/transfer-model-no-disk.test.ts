import { test } from 'vitest';
import { holdsFor } from './support/model.ts';

test(
  'with a disk that fills up, or none, whatever sources and clients do, a client gets the right bytes or is cut, and nothing hangs',
  {
    timeout: 600_000,
  },
  () => holdsFor('with a disk that fills up, or none', (s) => s.disk !== Number.POSITIVE_INFINITY),
);
