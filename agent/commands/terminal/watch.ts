import { type Line, rendered } from './lines.ts';

/** The terminal of this process; a test brings another. */
export interface Terminal {
  readonly input: NodeJS.ReadStream;
  readonly output: NodeJS.WriteStream;
}

/** The other screen, without cursor and wrapping; and back. */
const enter = '\x1b[?1049h\x1b[?25l\x1b[?7l';
const leave = '\x1b[?7h\x1b[?25h\x1b[?1049l';
const ctrlC = '\x03';

/**
 * Shows lines on a screen of their own and draws them anew at each turn and when the terminal changes its size, until q is pressed. Ctrl-C
 * and SIGTERM end the process with 130 and 143. Whatever happens, the terminal is as before at the end.
 * @param turn gives the lines for a width, anew each time that it resolves
 */
export async function watch(
  turn: () => Promise<(columns: number) => readonly Line[]>,
  everyMs: number,
  { input, output }: Terminal = { input: process.stdin, output: process.stdout },
): Promise<void> {
  const quit = new AbortController();
  let show: (columns: number) => readonly Line[] = () => [];
  const draw = () => output.write(frame(show(output.columns), output.columns, output.rows));
  const key = (pressed: Buffer) => {
    const text = pressed.toString();
    if (text.includes(ctrlC)) process.exit(130);
    if (/[qQ]/.test(text)) quit.abort();
  };
  const restore = () => {
    if (input.isTTY) input.setRawMode(false);
    output.write(leave);
  };
  process.once('exit', restore);
  process.once('SIGINT', () => process.exit(130));
  process.once('SIGTERM', () => process.exit(143));
  process.once('SIGHUP', () => process.exit(129));
  output.write(enter);
  if (input.isTTY) input.setRawMode(true);
  input.on('data', key);
  output.on('resize', draw);
  try {
    while (!quit.signal.aborted) {
      show = await turn();
      if (!quit.signal.aborted) draw();
      await pause(everyMs, quit.signal);
    }
  } finally {
    output.off('resize', draw);
    input.off('data', key);
    input.pause();
    process.off('exit', restore);
    restore();
  }
}

/** Written over the frame before: nothing flickers. What is beyond the last row is left out. */
function frame(lines: readonly Line[], columns: number, rows: number): string {
  const shown = lines.slice(0, Math.max(1, rows)).map((line) => `${rendered(line, columns)}\x1b[K`);
  return `\x1b[H${shown.join('\r\n')}\x1b[J`;
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener('abort', () => {
      clearTimeout(timer);
      resolve();
    });
  });
}
