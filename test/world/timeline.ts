import type { RelayProcess } from '../e2e/harness/relay-process.ts';

/** Prints what happens when: seconds since the scenario's beginning, who, what. */
export class Timeline {
  readonly #began = Date.now();
  readonly #followers = new Set<() => void>();
  readonly #timer = setInterval(() => this.#look(), 100);

  say(who: string, what: string): void {
    this.#look();
    this.#print(Date.now(), who, what);
  }

  /** Prints an agent's log from now on, from level `info` on, until it is let go. */
  follow(who: string, agent: RelayProcess): Disposable {
    let printed = 0;
    const look = () => {
      const lines = agent.logs();
      for (const { time, level, msg, ...fields } of lines.slice(printed)) {
        if (level === 'debug') continue;
        this.#print(Date.parse(String(time)), who, `${msg} ${detailsOf(fields)}`);
      }
      printed = lines.length;
    };
    this.#followers.add(look);
    return {
      [Symbol.dispose]: () => {
        look();
        this.#followers.delete(look);
      },
    };
  }

  [Symbol.dispose](): void {
    this.#look();
    clearInterval(this.#timer);
  }

  #look(): void {
    for (const look of this.#followers) look();
  }

  #print(at: number, who: string, what: string): void {
    const seconds = ((at - this.#began) / 1_000).toFixed(2).padStart(7);
    process.stdout.write(`${seconds} s  ${who.padEnd(9)} ${what.trim()}\n`);
  }
}

/** The few fields that tell a reader more. */
function detailsOf(fields: Readonly<Record<string, unknown>>): string {
  return ['url', 'source', 'near', 'change', 'online', 'path', 'why']
    .filter((field) => fields[field] !== undefined)
    .map((field) => `${field}=${String(fields[field])}`)
    .join(' ');
}
