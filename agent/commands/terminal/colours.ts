import { styleText } from 'node:util';

/** A meaning that text on a terminal has. */
export type Tone = 'good' | 'bad' | 'doubtful' | 'faint' | 'strong';

const styles = { good: 'green', bad: 'red', doubtful: 'yellow', faint: 'dim', strong: 'bold' } as const;

/** The text in a colour if stdout is a terminal and NO_COLOR is not set; else as it is. */
export function toned(tone: Tone, text: string): string {
  return styleText(styles[tone], text, { stream: process.stdout });
}
