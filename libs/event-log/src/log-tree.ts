import { GrowingTree, treeLeafHash, type OnNode, type TreeHash } from '@postern/crypto';

import type { StoredMessage } from './event-log.ts';
import { logLeafParts, missingLeaf } from './log-leaf.ts';

const missingLeafHash = treeLeafHash(missingLeaf);

/** A whole tree to go on from. */
export interface TreeStanding {
  readonly size: number;
  readonly subtrees: readonly TreeHash[];
}

/** The Merkle tree of a stream: its leaf n (from 0) is the message at position n + 1. */
export class LogTree {
  readonly #tree: GrowingTree;
  #lastLeafHash = missingLeafHash;

  /** @returns undefined when the standing is none of a tree. */
  static at({ size, subtrees }: TreeStanding, onNode?: OnNode): LogTree | undefined {
    const tree = GrowingTree.at(size, subtrees, onNode);
    return tree === undefined ? undefined : new LogTree(tree);
  }

  constructor(tree: GrowingTree = new GrowingTree()) {
    this.#tree = tree;
  }

  /** The position of the last message in it. */
  get size(): number {
    return this.#tree.size;
  }

  get subtrees(): readonly TreeHash[] {
    return this.#tree.subtrees;
  }

  get lastLeafHash(): TreeHash {
    return this.#lastLeafHash;
  }

  root(): TreeHash {
    return this.#tree.root();
  }

  /** Takes what stands at the next position; undefined where nothing does. */
  add(message: StoredMessage | undefined): void {
    this.#lastLeafHash = message === undefined ? missingLeafHash : logLeafHash(message);
    this.#tree.append(this.#lastLeafHash);
  }
}

/** The hash of a message's leaf. */
export function logLeafHash(message: Pick<StoredMessage, 'subject' | 'payload'>): TreeHash {
  return treeLeafHash(...logLeafParts(message));
}
