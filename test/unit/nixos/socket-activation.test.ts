import { describe, expect, test } from 'vitest';
import { activatedSockets } from '../../../agent/http/socket-activation.ts';

describe('of the variables that systemd sets', () => {
  const mine = { LISTEN_PID: '42', LISTEN_FDS: '2', LISTEN_FDNAMES: 'local:other' };

  test.each([
    [
      mine,
      [
        [3, 'local'],
        [4, 'other'],
      ],
    ],
    [
      { ...mine, LISTEN_FDNAMES: undefined },
      [
        [3, 'unknown'],
        [4, 'unknown'],
      ],
    ],
    [{ ...mine, LISTEN_FDS: '1' }, [[3, 'local']]],
    [
      { ...mine, LISTEN_FDS: '99' },
      Array.from({ length: 16 }, (_, n) => [n + 3, ['local', 'other'][n] ?? 'unknown']),
    ],
    [{}, []],
    [{ ...mine, LISTEN_PID: undefined }, []],
    [{ ...mine, LISTEN_PID: '43' }, []],
    [{ ...mine, LISTEN_FDS: undefined }, []],
    [{ ...mine, LISTEN_FDS: '0' }, []],
    [{ ...mine, LISTEN_FDS: '-1' }, []],
    [{ ...mine, LISTEN_FDS: '2x' }, []],
    [{ ...mine, LISTEN_FDS: '1e1' }, []],
  ])('%j give %j', (env, expected) => {
    expect(activatedSockets(env, 42).map(({ fd, name }) => [fd, name])).toEqual(expected);
  });
});
