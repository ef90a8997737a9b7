import { InputInvalidError } from './errors.ts';
import {
  emptyTreeHash,
  GrowingTree,
  joined,
  subtreeLevels,
  treeNodeHash,
  type OnNode,
  type TreeHash,
} from './merkle-tree.ts';

/** Leaves `begin` to `end`, the last one not included: what one hash of a proof stands for. */
interface Span {
  readonly begin: number;
  readonly end: number;
}

/**
 * Gathers a proof while the leaves pass by: give {@link TreeProver.onNode} to a `GrowingTree`, grow it to the size, and
 * ask for the proof. It keeps the few nodes that the proof is made of.
 */
export class TreeProver {
  readonly #spans: readonly Span[];
  readonly #wanted = new Map<string, TreeHash | undefined>();

  private constructor(spans: readonly Span[]) {
    this.#spans = spans;
    for (const span of spans) for (const name of nodesOf(span)) this.#wanted.set(name, undefined);
  }

  /**
   * That leaf `index` (from 0) stands in the tree of this size.
   *
   * @throws {InputInvalidError} when it has no such leaf.
   * @source RFC 9162 §2.1.3.1
   */
  static inclusion(index: number, size: number): TreeProver {
    if (!isIndexOf(index, size)) throw new InputInvalidError('the tree has no such leaf');
    return new TreeProver(inclusionSpans(index, { begin: 0, end: size }));
  }

  /**
   * That the tree of the one size is the beginning of the tree of the other.
   *
   * @throws {InputInvalidError} when the first is larger than the second, or empty: of that nothing is to be proved.
   * @source RFC 9162 §2.1.4.1
   */
  static consistency(firstSize: number, secondSize: number): TreeProver {
    if (firstSize < 1 || !isIndexOf(firstSize - 1, secondSize)) throw new InputInvalidError('a tree does not shrink');
    if (firstSize === secondSize) return new TreeProver([]);
    return new TreeProver(consistencySpans(firstSize, { begin: 0, end: secondSize }, true));
  }

  readonly onNode: OnNode = (level, index, node) => {
    const name = nodeName(level, index);
    if (this.#wanted.has(name)) this.#wanted.set(name, node);
  };

  /** @throws {InputInvalidError} when not all leaves have passed. */
  proof(): TreeHash[] {
    return this.#spans.map((span) =>
      joined(
        nodesOf(span).map((name) => {
          const node = this.#wanted.get(name);
          if (node === undefined) throw new InputInvalidError('the tree has not grown to the size of the proof');
          return node;
        }),
      ),
    );
  }
}

/** A tree at one of its sizes. */
export interface TreeStage {
  readonly size: number;
  readonly subtrees: readonly TreeHash[];
  /** That the stage before is its beginning. */
  readonly consistency: readonly TreeHash[];
}

/**
 * That the first tree is the beginning of the last, from the proofs of all steps between them: no leaf is needed.
 *
 * @param stages in order; what the first one says of the one before it is not looked at.
 * @returns undefined for stages that are none of one tree. That they are is not checked: `verifyConsistency` does.
 */
export function consistencyAlong(stages: readonly TreeStage[]): TreeHash[] | undefined {
  const [first, ...steps] = stages;
  const last = stages.at(-1);
  if (first === undefined || last === undefined || first.size < 1 || first.size > last.size) return undefined;
  const prover = TreeProver.consistency(first.size, last.size);
  const tree = GrowingTree.at(first.size, first.subtrees, prover.onNode);
  if (tree === undefined) return undefined;
  for (const step of steps) {
    const grown = grownSubtrees(tree.size, step);
    if (grown === undefined) return undefined;
    for (const { level, hash } of grown) tree.append(hash, level);
  }
  return prover.proof();
}

/** The whole subtrees that come after `before` in the tree of a stage, from the left, as its proof and frontier have them. */
function grownSubtrees(before: number, { size, subtrees, consistency }: TreeStage) {
  const levels = subtreeLevels(size);
  if (before > size || levels.length !== subtrees.length) return undefined;
  if (before === size) return [];
  const spans = consistencySpans(before, { begin: 0, end: size }, true);
  if (spans.length !== consistency.length) return undefined;
  const proven = spans.map((span, place) => ({ ...span, hash: consistency[place] ?? emptyTreeHash }));
  let end = 0;
  const frontier = levels.map((level, place) => {
    end += 2 ** level;
    return { begin: end - 2 ** level, level, hash: subtrees[place] ?? emptyTreeHash };
  });
  return proven
    .filter(({ begin }) => begin >= before)
    .flatMap(({ begin, end: spanEnd, hash }) => {
      const [level = 0, ...more] = subtreeLevels(spanEnd - begin);
      // What is no whole subtree reaches to the end, where the stage's own subtrees stand.
      return more.length === 0 ? [{ level, hash }] : frontier.filter((one) => one.begin >= begin);
    });
}

/** What a proof of inclusion speaks of. */
export interface InclusionClaim {
  /** From 0. */
  readonly index: number;
  readonly size: number;
  readonly leafHash: TreeHash;
  readonly root: TreeHash;
}

/** Does the leaf stand where the claim says? @source RFC 9162 §2.1.3.2 */
export function verifyInclusion(proof: readonly TreeHash[], { root, ...place }: InclusionClaim): boolean {
  return inclusionRoot(proof, place)?.equals(root) === true;
}

/**
 * The head of the tree in which the leaf stands there, as its proof says.
 *
 * @returns undefined for a place that is none, or a proof that is too long or too short for it.
 * @source RFC 9162 §2.1.3.2
 */
export function inclusionRoot(
  proof: readonly TreeHash[],
  { index, size, leafHash }: Omit<InclusionClaim, 'root'>,
): TreeHash | undefined {
  if (!isIndexOf(index, size)) return undefined;
  let [at, last] = [index, size - 1];
  let node = leafHash;
  for (const sibling of proof) {
    if (last === 0) return undefined;
    if (isOdd(at) || at === last) {
      node = treeNodeHash(sibling, node);
      while (!isOdd(at) && at !== 0) [at, last] = [half(at), half(last)];
    } else node = treeNodeHash(node, sibling);
    [at, last] = [half(at), half(last)];
  }
  return last === 0 ? node : undefined;
}

/** What a proof of consistency speaks of. */
export interface ConsistencyClaim {
  readonly firstSize: number;
  readonly firstRoot: TreeHash;
  readonly secondSize: number;
  readonly secondRoot: TreeHash;
}

/** Is the first tree the beginning of the second? An empty one is of every tree. @source RFC 9162 §2.1.4.2 */
export function verifyConsistency(proof: readonly TreeHash[], claim: ConsistencyClaim): boolean {
  const { firstSize, firstRoot, secondSize, secondRoot } = claim;
  if (firstSize === 0) return proof.length === 0;
  if (!isIndexOf(firstSize - 1, secondSize)) return false;
  if (firstSize === secondSize) return proof.length === 0 && firstRoot.equals(secondRoot);
  const [start, ...rest] = subtreeLevels(firstSize).length === 1 ? [firstRoot, ...proof] : proof;
  if (start === undefined || proof.length === 0) return false;
  let [at, last] = [firstSize - 1, secondSize - 1];
  while (isOdd(at)) [at, last] = [half(at), half(last)];
  let [first, second] = [start, start];
  for (const sibling of rest) {
    if (last === 0) return false;
    if (isOdd(at) || at === last) {
      first = treeNodeHash(sibling, first);
      second = treeNodeHash(sibling, second);
      while (!isOdd(at) && at !== 0) [at, last] = [half(at), half(last)];
    } else second = treeNodeHash(second, sibling);
    [at, last] = [half(at), half(last)];
  }
  return last === 0 && first.equals(firstRoot) && second.equals(secondRoot);
}

function inclusionSpans(index: number, { begin, end }: Span): Span[] {
  if (end - begin === 1) return [];
  const middle = begin + splitOf(end - begin);
  const [left, right] = [
    { begin, end: middle },
    { begin: middle, end },
  ];
  return index < middle ? [...inclusionSpans(index, left), right] : [...inclusionSpans(index, right), left];
}

/** @param known the hash of the span is what the asker has already. */
function consistencySpans(firstSize: number, { begin, end }: Span, known: boolean): Span[] {
  if (firstSize === end) return known ? [] : [{ begin, end }];
  const middle = begin + splitOf(end - begin);
  const [left, right] = [
    { begin, end: middle },
    { begin: middle, end },
  ];
  return firstSize <= middle
    ? [...consistencySpans(firstSize, left, known), right]
    : [...consistencySpans(firstSize, right, false), left];
}

/** The largest power of two below. */
function splitOf(size: number): number {
  return 2 ** (subtreeLevels(size - 1)[0] ?? 0);
}

/** The whole subtrees that a span consists of; each begins where its own size divides. */
function nodesOf({ begin, end }: Span): string[] {
  let at = begin;
  return subtreeLevels(end - begin).map((level) => {
    const name = nodeName(level, at / 2 ** level);
    at += 2 ** level;
    return name;
  });
}

const nodeName = (level: number, index: number) => `${level}/${index}`;
const isIndexOf = (index: number, size: number) =>
  Number.isSafeInteger(size) && Number.isSafeInteger(index) && index >= 0 && index < size;
const isOdd = (value: number) => value % 2 === 1;
const half = (value: number) => Math.floor(value / 2);
