import { randomInt } from 'node:crypto';
import { Column, roomFor } from './column.ts';

/**
 * Keys of one length, and a number for each, from 1 on: what stands for the key in columns. The key's bytes and some 10 more are all
 * that it takes. The number of a key that was deleted is given to another.
 */
export class KeyTable {
  readonly #width: number;
  #keys = new Uint8Array(0);
  /** The first key of each bucket, and after each key the next one: of its bucket, or of those that are free. 0 is none. */
  #first = new Uint32Array(64);
  readonly #next = new Column(Uint32Array);
  #free = 0;
  #numbers = 0;
  #size = 0;
  /** Nobody outside can choose keys that all come into one bucket. */
  readonly #seed = randomInt(2 ** 32);

  /** @param width bytes of a key */
  constructor(width: number) {
    this.#width = width;
  }

  /** The bytes of a key, valid until another is added. */
  key(number: number): Uint8Array {
    return this.#keys.subarray(number * this.#width, (number + 1) * this.#width);
  }

  /** The key's number; 0 when it is not there. */
  find(key: Uint8Array): number {
    let number = this.#first[this.#bucket(key, 0)] ?? 0;
    while (number !== 0 && !this.#is(number, key)) number = this.#next.get(number);
    return number;
  }

  /** The key's number, new or as it was. */
  add(key: Uint8Array): number {
    const known = this.find(key);
    if (known !== 0) return known;
    if (this.#size >= this.#first.length) this.#moreBuckets();
    const number = this.#take();
    this.#keys.set(key, number * this.#width);
    this.#link(number);
    this.#size += 1;
    return number;
  }

  /** Deletes a key that is there. */
  delete(number: number): void {
    const bucket = this.#bucket(this.#keys, number * this.#width);
    const next = this.#next.get(number);
    let before = this.#first[bucket] ?? 0;
    if (before === number) this.#first[bucket] = next;
    else {
      while (this.#next.get(before) !== number) before = this.#next.get(before);
      this.#next.set(before, next);
    }
    this.#next.set(number, this.#free);
    this.#free = number;
    this.#size -= 1;
  }

  #take(): number {
    const free = this.#free;
    if (free !== 0) {
      this.#free = this.#next.get(free);
      return free;
    }
    this.#numbers += 1;
    if ((this.#numbers + 1) * this.#width > this.#keys.length) {
      const former = this.#keys;
      this.#keys = new Uint8Array(roomFor(this.#numbers + 1) * this.#width);
      this.#keys.set(former);
    }
    return this.#numbers;
  }

  /** Only when all numbers are in use: each of them has a key. */
  #moreBuckets(): void {
    this.#first = new Uint32Array(this.#first.length * 2);
    for (let number = 1; number <= this.#numbers; number += 1) this.#link(number);
  }

  #link(number: number): void {
    const bucket = this.#bucket(this.#keys, number * this.#width);
    this.#next.set(number, this.#first[bucket] ?? 0);
    this.#first[bucket] = number;
  }

  #is(number: number, key: Uint8Array): boolean {
    const start = number * this.#width;
    for (let n = 0; n < this.#width; n += 1) if (this.#keys[start + n] !== key[n]) return false;
    return true;
  }

  /** FNV-1a, begun with the seed. */
  #bucket(bytes: Uint8Array, start: number): number {
    let hash = this.#seed;
    for (let n = start; n < start + this.#width; n += 1) hash = Math.imul(hash ^ (bytes[n] ?? 0), 0x01000193);
    return (hash ^ (hash >>> 16)) & (this.#first.length - 1);
  }
}
