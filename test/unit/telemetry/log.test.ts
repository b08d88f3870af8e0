import { execFileSync, spawnSync } from 'node:child_process';
import { inspect } from 'node:util';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { NarrowcastError } from '../../../agent/nix/error.ts';
import { createLogger, type Logger, type LogLevel, safeUrl } from '../../../agent/telemetry/log.ts';
import { hideSecrets } from '../../../agent/telemetry/secrets.ts';

async function logged(write: (log: Logger) => void, level: LogLevel = 'trace'): Promise<string[]> {
  const lines: string[] = [];
  write(await createLogger(level, { write: (line) => lines.push(line) }, false));
  return lines;
}

describe('a secret does not appear in the log', () => {
  const key = `k:hunter2${'A'.repeat(79)}==`;
  const cases: [string, (log: Logger) => void][] = [
    ['authorization of an object', (log) => log.info({ headers: { authorization: 'Digest hunter2' } })],
    ['Authorization, deep', (log) => log.info({ a: { b: { c: { d: { Authorization: 'x hunter2' } } } } })],
    [
      'authorization of raw headers',
      (log) => log.info({ headers: ['authorization', 'Digest hunter2', 'host', 'x'] }),
    ],
    ['proxy-authorization', (log) => log.info({ 'proxy-authorization': 'Digest hunter2' })],
    ['cookies', (log) => log.info({ 'set-cookie': 'hunter2' })],
    ['Basic in a message', (log) => log.info('sent Basic dTpodW50ZXIy+hunter2== to it')],
    ['Bearer in a message', (log) => log.info('sent Bearer hunter2.x-y_z')],
    ['a password with quotes', (log) => log.info({ password: 'a"hunter2\\"' })],
    ['a token', (log) => log.info({ token: 'hunter2' })],
    ['a URL in a message', (log) => log.info('asking https://user:hunter2@cache.example/x')],
    ['a URL with an @ in the password', (log) => log.info('asking https://user:p@hunter2@cache.example/x')],
    ['a URL with a ? in the password', (log) => log.info('asking https://user:hunter2?x@cache.example/x')],
    ['a URL behind a URL', (log) => log.info('http://proxy/https://user:hunter2@cache.example/x')],
    ['a URL with a quote in it', (log) => log.info('asking https://user:"hunter2@cache.example/x')],
    ['a URL object', (log) => log.info({ url: new URL('https://user:hunter2@cache.example/') })],
    ['a signed URL', (log) => log.info({ url: 'https://cache.example/nar/x?X-Amz-Signature=hunter2' })],
    [
      'a URL in an error',
      (log) => log.error({ err: new Error('GET https://u:hunter2@cache.example failed') }),
    ],
    ['an error alone', (log) => log.error(new Error('GET https://u:hunter2@cache.example failed'))],
    [
      'the cause of an error',
      (log) => log.error({ err: new Error('x', { cause: new Error('http://u:hunter2@x/') }) }),
    ],
    [
      'fields of an error',
      (log) => log.error({ err: Object.assign(new Error('x'), { secretish: 'hunter2' }) }),
    ],
    ['a secret key in a message', (log) => log.info(`read ${key}`)],
    ['a secret key in a field', (log) => log.info({ line: key })],
    ['a child logger', (log) => log.child({ token: 'hunter2' }).info('x')],
  ];

  test.each(cases)('%s', async (_case, write) => {
    const [line = expect.fail('nothing logged'), ...more] = await logged(write);
    expect(JSON.parse(line)).toHaveProperty('level');
    expect([line, ...more].join()).not.toContain('hunter2');
  });
});

test('what is no secret stays as it is', async () => {
  const fields = {
    url: 'http://localhost:6270/abc.narinfo',
    path: '/nix/store/00bgd045z0d4icpbc2yyz4gx48ak44la-net-tools-1.60_p20170221182432',
    key: 'cache.nixos.org-1:6NCHdD59X431o0gWypbMrAURkbJ16ZPMQFGspcDShjY=',
    tokensFile: '/etc/narrowcast/tokens',
    note: 'a Basic matter: nobody@example.org asked, why not?',
  };
  const [line = ''] = await logged((log) => log.info({ ...fields, note: fields.note.toLowerCase() }));
  expect(JSON.parse(line)).toMatchObject({ ...fields, note: fields.note.toLowerCase() });
});

test('hiding secrets leaves JSON valid, whatever is in it', () => {
  const piece = fc.oneof(
    fc.string(),
    fc.constantFrom(
      '://',
      '@',
      '?',
      '#',
      '"',
      '\\',
      'Basic ',
      'https://u:p@h/?q#f',
      'A'.repeat(86),
      '==',
      '\n',
    ),
  );
  const text = fc.array(piece).map((pieces) => pieces.join(''));
  const field = fc.oneof(text, fc.constantFrom('authorization', 'cookie', 'password', 'token', 'secret-key'));
  fc.assert(
    fc.property(
      fc.dictionary(field, fc.oneof(text, fc.array(field), fc.dictionary(field, text))),
      (value) => {
        JSON.parse(hideSecrets(JSON.stringify(value)));
      },
    ),
    { numRuns: 1_000 },
  );
});

test.each(['"', '":"', '\\', '://', '://a', 'token', '"token', 'A', 'Basic ', '?', '"a'])(
  'hiding secrets in 64 KiB of %j takes no quadratic time',
  (piece) => {
    const start = performance.now();
    hideSecrets(piece.repeat(65_536 / piece.length));
    expect(performance.now() - start).toBeLessThan(5_000);
  },
);

describe('safeUrl', () => {
  test.each([
    ['https://user:secret@cache.example:8080/a/b?x=1#y', 'https://cache.example:8080/a/b'],
    ['http://[::1]:6270', 'http://[::1]:6270/'],
    ['file:///mnt/usb', 'file:///mnt/usb'],
    ['https://cache.example/@scope/x', 'https://cache.example/@scope/x'],
    ['https://user:sec/ret@cache example/x?y', 'https://cache example/x'],
    ['no URL?', 'no URL'],
  ])('%s', (url, safe) => {
    expect(safeUrl(url)).toBe(safe);
    if (URL.canParse(url)) expect(safeUrl(new URL(url))).toBe(safe);
  });
});

describe('errors', () => {
  const err = new NarrowcastError('port-in-use', 'Port 1 is in use.', {
    cause: Object.assign(new Error('why'), { code: 'E' }),
  });

  test('keep name, code, message and causes', async () => {
    const [line = ''] = await logged((log) => log.error({ err }, 'failed'), 'info');
    expect(JSON.parse(line)).toEqual({
      level: 'error',
      time: expect.stringMatching(/^\d{4}-\d\d-\d\dT.*Z$/),
      err: {
        type: 'NarrowcastError',
        code: 'port-in-use',
        message: 'Port 1 is in use.',
        cause: { type: 'Error', code: 'E', message: 'why' },
      },
      msg: 'failed',
    });
  });

  test('have a stack at debug and trace only', async () => {
    const stacks = (['info', 'debug', 'trace'] as const).map(async (level) =>
      (await logged((log) => log.error({ err }), level)).join().includes('log.test.ts'),
    );
    expect(await Promise.all(stacks)).toEqual([false, true, true]);
  });

  test('may be anything, even in a circle', async () => {
    const circle = new Error('round');
    circle.cause = circle;
    const [first = '', second = ''] = await logged((log) => {
      log.error({ err: 'text' });
      log.error({ err: circle });
    });
    expect(JSON.parse(first).err).toBe('text');
    expect(second).toContain('round');
  });
});

test('the level decides what is logged', async () => {
  const write = (log: Logger) => {
    log.debug('quiet');
    log.info('loud');
  };
  expect((await logged(write, 'info')).map((line) => JSON.parse(line).msg)).toEqual(['loud']);
  expect(await logged(write, 'silent')).toEqual([]);
});

describe('on stderr', () => {
  const logFile = new URL('../../../agent/telemetry/log.ts', import.meta.url).href;
  const script = `
    const { createLogger } = await import(${inspect(logFile)});
    const log = await createLogger('info');
    log.info({ url: 'http://user:hunter2@localhost:1/' }, 'first');
    log.fatal('last');
    process.exit(1);`;
  const node = ['--input-type=module', '--eval', script];

  test('it is JSON, and nothing is lost when the process exits at once', () => {
    const { stdout, stderr } = spawnSync(process.execPath, node, { encoding: 'utf8' });
    const lines = stderr
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(lines).toMatchObject([
      { msg: 'first', url: 'http://localhost:1/' },
      { level: 'fatal', msg: 'last' },
    ]);
    expect(stdout).toBe('');
  });

  test('a terminal gets text, no less complete', () => {
    const command = [process.execPath, ...node].map((word) => `'${word.replaceAll("'", `'\\''`)}'`).join(' ');
    const shown = execFileSync('script', ['-qc', command, '/dev/null'], {
      encoding: 'utf8',
      env: { ...process.env, SHELL: '/bin/sh' },
    });
    expect(shown).toMatch(/INFO.*first/);
    expect(shown).toContain('http://localhost:1/');
    expect(shown).toMatch(/FATAL.*last/);
    expect(shown).not.toContain('hunter2');
    expect(shown).not.toContain('"level"');
  });
});
