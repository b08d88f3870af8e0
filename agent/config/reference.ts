import { type KnownKey, knownKeys } from './known-keys.ts';

/** A row of the configuration's documentation. */
export interface ReferenceRow {
  /** With its table: `cache.dir`. */
  readonly key: string;
  /** As TOML would have it. */
  readonly fallback: string;
  /** One line of Markdown. */
  readonly meaning: string;
}

/** Every key in the order of the schema. */
export const reference: readonly ReferenceRow[] = [...knownKeys.values()].map(row);

/**
 * The table of README.md, between `<!-- config:begin -->` and `<!-- config:end -->`. To print it:
 * `node -e "import('./agent/config/reference.ts').then((r) => console.log(r.markdownTable()))"`
 */
export function markdownTable(): string {
  const rows = reference.map(({ key, fallback, meaning }) => `| \`${key}\` | \`${fallback}\` | ${meaning} |`);
  return ['| key | default | meaning |', '|---|---|---|', ...rows].join('\n');
}

/** The same as plain text for `narrowcast serve --help`. */
export function plainText(): string {
  return reference
    .map(({ key, fallback, meaning }) => `  ${key} = ${fallback}\n      ${meaning.replaceAll('`', '')}`)
    .join('\n');
}

function row({ name, fallback, meaning }: KnownKey): ReferenceRow {
  return { key: name, fallback: JSON.stringify(fallback), meaning };
}
