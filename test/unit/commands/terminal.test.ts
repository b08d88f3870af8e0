import { expect, test } from 'vitest';
import { counted, readableBytes, readableTime } from '../../../agent/commands/terminal/amounts.ts';
import { bar, Display } from '../../../agent/commands/terminal/display.ts';
import { Pace } from '../../../agent/commands/terminal/pace.ts';
import { HandClock } from './hand-clock.ts';

/** What a terminal of that width shows in the end: `\r` and 'erase line' are obeyed. */
function terminal(columns: number) {
  const rows = [''];
  return {
    isTTY: true,
    columns,
    write(text: string) {
      for (const part of text.replaceAll('\r\x1b[K', '\r').split(/([\r\n])/)) {
        if (part === '\n') rows.push('');
        else if (part === '\r') rows[rows.length - 1] = '';
        else rows[rows.length - 1] += part;
      }
    },
    rows,
  };
}

function file() {
  const written: string[] = [];
  return { write: (text: string) => written.push(text), written };
}

test.each([
  [0, '0 B'],
  [999, '999 B'],
  [1000, '1.0 KiB'],
  [1536, '1.5 KiB'],
  [10_188, '9.9 KiB'],
  [10_189, '10 KiB'],
  [35_651_584, '34 MiB'],
  [5e15, '4547 TiB'],
])('%i bytes are %s', (bytes, text) => expect(readableBytes(bytes)).toBe(text));

test.each([
  [0, '0:00'],
  [1, '0:01'],
  [7_000, '0:07'],
  [754_000, '12:34'],
  [3_723_000, '1:02:03'],
])('%i ms are %s', (ms, text) => expect(readableTime(ms)).toBe(text));

test('one is not many', () => {
  expect([0, 1, 2].map((count) => counted(count, 'path'))).toEqual(['0 paths', '1 path', '2 paths']);
});

test.each([
  [0, 0, '[----]'],
  [49, 100, '[#---]'],
  [50, 100, '[##--]'],
  [100, 100, '[####]'],
  [101, 100, '[####]'],
])('a bar of %i in %i', (done, total, text) => expect(bar(done, total, 4)).toBe(text));

test('the pace is that of the last ten seconds', () => {
  const clock = new HandClock();
  const pace = new Pace(clock);
  expect(pace.perSecond).toBe(0);
  expect(pace.timeFor(1)).toBeUndefined();
  for (let second = 0; second < 60; second++) {
    pace.add(second < 30 ? 1_000_000 : 100);
    clock.advance(1_000);
  }
  expect(pace.perSecond).toBe(100);
  expect(pace.timeFor(1_000)).toBe(10_000);
  clock.advance(10_001);
  expect(pace.perSecond).toBe(0);
});

test('what had to be taken back does not make the pace negative', () => {
  const clock = new HandClock();
  const pace = new Pace(clock);
  pace.add(100);
  clock.advance(11_000);
  pace.add(-100);
  expect(pace.perSecond).toBe(0);
  expect(pace.timeFor(1)).toBeUndefined();
});

test('on a terminal one line changes, with what is said above it, and goes at the end', () => {
  const clock = new HandClock();
  const tty = terminal(20);
  let line = 'one';
  const display = new Display(() => line, { out: tty, err: tty, clock });
  display.start();
  expect(tty.rows).toEqual(['one']);
  line = 'two';
  clock.advance(100);
  expect(tty.rows).toEqual(['two']);
  display.step('a step');
  display.say('said');
  display.complain('wrong');
  expect(tty.rows).toEqual(['said', 'wrong', 'two']);
  line = 'x'.repeat(100);
  clock.advance(100);
  expect(tty.rows.at(-1)).toBe('x'.repeat(19));
  display.end();
  clock.advance(1_000);
  display.say('done');
  expect(tty.rows).toEqual(['said', 'wrong', 'done', '']);
});

test('elsewhere there are plain lines, each step its own', () => {
  const clock = new HandClock();
  const [out, err] = [file(), file()];
  const display = new Display(() => 'never', { out, err, clock });
  display.start();
  clock.advance(1_000);
  display.step('a step');
  display.say('said');
  display.complain('wrong');
  display.end();
  expect([out.written, err.written]).toEqual([['a step\n', 'said\n'], ['wrong\n']]);
});
