/**
 * The base of every error that narrowcast throws on purpose.
 * `code` is for programs (kebab-case, stable), `message` is one sentence for people: what, where, what to do.
 */
export class NarrowcastError extends Error {
  readonly code: string;

  constructor(code: string, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.name = new.target.name;
    this.code = code;
  }
}

/** Text or bytes that are not what a Nix format allows: the only error that agent/nix throws. */
export class FormatError extends NarrowcastError {}

/** Foreign text made fit for an error message: quoted, at most 80 characters, all but printable ASCII escaped. */
export function quote(text: string): string {
  const shown = text.length > 80 ? `${text.slice(0, 77)}...` : text;
  return JSON.stringify(shown).replace(/[^ -~]/g, escaped);
}

function escaped(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;
}
