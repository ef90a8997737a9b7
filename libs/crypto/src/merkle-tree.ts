import { hash } from 'node:crypto';

/** A node of the tree: 32 bytes. */
export type TreeHash = Buffer;

/** Told of each whole subtree as it comes about: `index` counts the subtrees of this level from the left. */
export type OnNode = (level: number, index: number, node: TreeHash) => void;

const leafPrefix = Buffer.of(0);
const nodePrefix = Buffer.of(1);

/** Where what is hashed is put together for one call: nearly every leaf is smaller. */
const room = Buffer.allocUnsafe(8 * 1_024);

/** The head of a tree without leaves. @source RFC 9162 §2.1.1 */
export const emptyTreeHash: TreeHash = sha256(Buffer.alloc(0));

/** @param leaf its parts, one after the other. @source RFC 9162 §2.1.1 */
export function treeLeafHash(...leaf: readonly Uint8Array[]): TreeHash {
  return sha256(leafPrefix, ...leaf);
}

/** @source RFC 9162 §2.1.1 */
export function treeNodeHash(left: Uint8Array, right: Uint8Array): TreeHash {
  return sha256(nodePrefix, left, right);
}

/**
 * A Merkle tree that only grows, of which no more is kept than its whole subtrees: one hash for each bit of its size.
 *
 * With them building goes on after a restart, and memory does not grow with the log. Whoever wants a proof names the
 * nodes it takes and lets the leaves pass by once more (see `TreeProver`).
 */
export class GrowingTree {
  /** From the left, the largest first. */
  readonly #subtrees: { readonly level: number; readonly hash: TreeHash }[] = [];
  readonly #onNode: OnNode | undefined;
  #size = 0;

  constructor(onNode?: OnNode) {
    this.#onNode = onNode;
  }

  /** Goes on where another one stood. @returns undefined when the hashes are not those of a tree of this size. */
  static at(size: number, subtrees: readonly TreeHash[], onNode?: OnNode): GrowingTree | undefined {
    const levels = subtreeLevels(size);
    if (levels.length !== subtrees.length) return undefined;
    const tree = new GrowingTree(onNode);
    let end = 0;
    for (const [place, level] of levels.entries()) {
      const node = subtrees[place];
      if (node?.length !== emptyTreeHash.length) return undefined;
      tree.#subtrees.push({ level, hash: node });
      end += 2 ** level;
      onNode?.(level, end / 2 ** level - 1, node);
    }
    tree.#size = size;
    return tree;
  }

  get size(): number {
    return this.#size;
  }

  /** What {@link GrowingTree.at} goes on with. */
  get subtrees(): readonly TreeHash[] {
    return this.#subtrees.map((subtree) => subtree.hash);
  }

  /** @param level of a whole subtree that is appended instead of a leaf: where its own size divides the tree's. */
  append(hash: TreeHash, level = 0): void {
    let node = { level, hash };
    this.#onNode?.(level, this.#size / 2 ** level, hash);
    this.#size += 2 ** level;
    while (this.#subtrees.at(-1)?.level === node.level) {
      const left = this.#subtrees.pop()?.hash ?? emptyTreeHash;
      node = { level: node.level + 1, hash: treeNodeHash(left, node.hash) };
      this.#onNode?.(node.level, this.#size / 2 ** node.level - 1, node.hash);
    }
    this.#subtrees.push(node);
  }

  /** The tree's head as of now. */
  root(): TreeHash {
    return joined(this.subtrees);
  }
}

/** The levels of the whole subtrees of a tree, from the left: the bits of its size. @internal */
export function subtreeLevels(size: number): number[] {
  if (!Number.isSafeInteger(size) || size < 0) return [];
  const levels: number[] = [];
  for (let [level, rest] = [0, size]; rest > 0; [level, rest] = [level + 1, Math.floor(rest / 2)]) {
    if (rest % 2 === 1) levels.push(level);
  }
  return levels.toReversed();
}

/** The head over whole subtrees that stand side by side, the largest first. @internal */
export function joined(subtrees: readonly TreeHash[]): TreeHash {
  const last = subtrees.at(-1);
  if (last === undefined) return emptyTreeHash;
  return subtrees.slice(0, -1).reduceRight((right, left) => treeNodeHash(left, right), last);
}

function sha256(...parts: readonly Uint8Array[]): TreeHash {
  const size = parts.reduce((sum, { byteLength }) => sum + byteLength, 0);
  if (size > room.byteLength) return hash('sha256', Buffer.concat(parts), 'buffer');
  let at = 0;
  for (const part of parts) {
    room.set(part, at);
    at += part.byteLength;
  }
  return hash('sha256', room.subarray(0, size), 'buffer');
}
