import { type HashPart, isHashPart } from '../nix/store-path.ts';

interface Node {
  readonly path: HashPart;
  /** Undefined while the path is not stored. */
  references: readonly Node[] | undefined;
  /** How many stored paths refer to it. */
  referrers: number;
}

/** Which stored path refers to which others: some 200 bytes of memory each. A path's reference to itself is none. */
export class References {
  readonly #nodes = new Map<HashPart, Node>();

  /** Notes what a stored path refers to, in place of what was known. The result is the path as it is kept here. */
  set(path: HashPart, references: readonly HashPart[]): HashPart {
    const node = this.#node(path);
    const former = node.references;
    node.references = references.filter((other) => other !== path).map((other) => this.#node(other));
    for (const other of node.references) other.referrers += 1;
    this.#release(former);
    return node.path;
  }

  /** The path is stored no more. */
  delete(path: HashPart): void {
    const node = this.#nodes.get(path);
    if (node === undefined) return;
    const former = node.references;
    node.references = undefined;
    this.#release(former);
    this.#forget(node);
  }

  /** What a stored path refers to; undefined when it is not known as stored. */
  of(path: HashPart): readonly HashPart[] | undefined {
    return this.#nodes.get(path)?.references?.map((node) => node.path);
  }

  /** How many stored paths refer to this one. */
  referrers(path: HashPart): number {
    return this.#nodes.get(path)?.referrers ?? 0;
  }

  #node(path: HashPart): Node {
    const known = this.#nodes.get(path);
    if (known !== undefined) return known;
    // A copy, since a part of a string keeps the whole of it in memory.
    const copy = Buffer.from(path, 'latin1').toString('latin1');
    const own = isHashPart(copy) ? copy : path;
    const node: Node = { path: own, references: undefined, referrers: 0 };
    this.#nodes.set(own, node);
    return node;
  }

  #release(references: readonly Node[] = []): void {
    for (const node of references) {
      node.referrers -= 1;
      this.#forget(node);
    }
  }

  #forget(node: Node): void {
    if (node.referrers === 0 && node.references === undefined) this.#nodes.delete(node.path);
  }
}
