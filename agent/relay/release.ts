import type { Narinfo } from '../nix/narinfo.ts';
import { type Mark, NarCheck } from './nar-check.ts';

/** So many marks at most lie in the last bytes: each costs a copy of the hash's state. */
const marksInLastBytes = 4;

/**
 * Checks a NAR as it is decoded, from one file after the other, and says up to where clients may have it. What a client has cannot be
 * taken back: so a further file must begin with the very bytes that were given out, and the end is kept until the whole is verified.
 */
export class Release {
  readonly #narinfo: Narinfo;
  readonly #lastBytes: number;
  #check: NarCheck;
  /** The furthest that clients may have been given, by this transfer or one before. */
  #given: Mark | undefined;
  /** How the present file compares with what was given; undefined until it has come that far. */
  #agrees: boolean | undefined;
  #marks: Mark[] = [];
  #upTo = 0;
  #verified = false;

  constructor(narinfo: Narinfo, given: Mark | undefined, lastBytes: number) {
    this.#narinfo = narinfo;
    this.#given = given;
    this.#lastBytes = lastBytes;
    this.#check = new NarCheck(narinfo);
  }

  /** Bytes of the present file so far. */
  get position(): number {
    return this.#check.position;
  }

  /** Clients may have what comes before this position. */
  get upTo(): number {
    return this.#upTo;
  }

  /** The same for the present file's own bytes: none before they have shown to be those that were given. */
  get upToAnew(): number {
    return this.comparing ? 0 : this.#upTo;
  }

  /** The present file has not shown yet, or not at all, to begin like what clients were given. */
  get comparing(): boolean {
    return this.#given !== undefined && this.#agrees !== true && !this.#verified;
  }

  /** What clients may have been given. */
  get given(): Mark | undefined {
    return this.#given;
  }

  /** The present file says that clients were given other bytes than the NAR's. One of the two is wrong; the end tells which. */
  get disputed(): boolean {
    return this.#given !== undefined && this.#agrees === false;
  }

  /** Another file's bytes come, from the first on. */
  begin(): void {
    this.#check = new NarCheck(this.#narinfo);
    this.#marks = [];
    this.#agrees = undefined;
  }

  /** @throws WrongNar when the NAR becomes larger than its NarSize */
  accept(chunk: Uint8Array): void {
    const given = this.#given;
    const before = given === undefined ? 0 : given.position - this.#check.position;
    if (given !== undefined && before > 0 && before <= chunk.length) {
      this.#check.update(chunk.subarray(0, before));
      this.#compare(given);
      this.#check.update(chunk.subarray(before));
    } else {
      this.#check.update(chunk);
    }
    const last = this.#marks.at(-1)?.position ?? 0;
    if (this.#check.position - last >= this.#lastBytes / marksInLastBytes)
      this.#marks.push(this.#check.mark());
    this.#forget();
  }

  /** Lets clients have all but the last bytes. */
  advance(): void {
    const [mark] = this.#marks;
    if (mark === undefined || this.comparing || !this.#isSafe(mark) || mark.position <= this.#upTo) return;
    this.#upTo = mark.position;
    this.#given = mark;
    this.#agrees = true;
  }

  /**
   * The file has ended: lets clients have all of it.
   * @throws WrongNar when NarSize or NarHash do not hold
   */
  finish(): void {
    this.#check.finish();
    this.#verified = true;
    this.#upTo = this.#narinfo.narSize;
  }

  #compare(given: Mark): void {
    this.#agrees = this.#check.mark().digest.equals(given.digest);
    this.#marks = [];
    if (this.#agrees) this.#upTo = given.position;
  }

  #isSafe({ position }: Mark): boolean {
    return position + this.#lastBytes <= this.#check.position;
  }

  /** Of the marks that are safe only the last is of use. */
  #forget(): void {
    while (this.#marks[1] !== undefined && this.#isSafe(this.#marks[1])) this.#marks.shift();
  }
}
