import fc from 'fast-check';

import {
  consistencyAlong,
  emptyTreeHash,
  GrowingTree,
  treeLeafHash,
  treeNodeHash,
  TreeProver,
  verifyConsistency,
  verifyInclusion,
  type TreeHash,
} from './index.ts';

const hex = (text: string) => Buffer.from(text, 'hex');

/** The leaves and heads by which the authors of RFC 6962 test their own tree (google/certificate-transparency). */
const published = [
  ['', '6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d'],
  ['00', 'fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125'],
  ['10', 'aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77'],
  ['2021', 'd37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7'],
  ['3031', '4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4'],
  ['40414243', '76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef'],
  ['5051525354555657', 'ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c'],
  ['606162636465666768696a6b6c6d6e6f', '5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328'],
] as const;
const leafHashes = published.map(([leaf]) => treeLeafHash(hex(leaf)));
const heads = published.map(([, head]) => hex(head));

function grown(hashes: readonly TreeHash[], prover?: TreeProver): GrowingTree {
  const tree = new GrowingTree(prover?.onNode);
  for (const one of hashes) tree.append(one);
  return tree;
}

const inclusion = (index: number, hashes: readonly TreeHash[]) => {
  const prover = TreeProver.inclusion(index, hashes.length);
  grown(hashes, prover);
  return prover.proof();
};
const consistency = (firstSize: number, hashes: readonly TreeHash[]) => {
  const prover = TreeProver.consistency(firstSize, hashes.length);
  grown(hashes, prover);
  return prover.proof();
};
const asHex = (proof: readonly TreeHash[]) => proof.map((one) => one.toString('hex'));

/** The head by its definition. @source RFC 9162 §2.1.1 */
function defined(hashes: readonly TreeHash[]): TreeHash {
  const [only] = hashes;
  if (only === undefined) return emptyTreeHash;
  if (hashes.length === 1) return only;
  let split = 1;
  while (split * 2 < hashes.length) split *= 2;
  return treeNodeHash(defined(hashes.slice(0, split)), defined(hashes.slice(split)));
}

const leaves = (count: number) =>
  Array.from({ length: count }, (_, index) => treeLeafHash(Buffer.from(`leaf ${index}`)));

describe('the published vectors', () => {
  test('the head of the empty tree is the hash of nothing', () => {
    expect(emptyTreeHash.toString('hex')).toBe('e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855');
    expect(new GrowingTree().root()).toEqual(emptyTreeHash);
  });

  test.each(heads.map((head, index) => [index + 1, head] as const))('the head of %i leaves', (size, head) => {
    expect(grown(leafHashes.slice(0, size)).root()).toEqual(head);
  });

  test('paths of inclusion', () => {
    expect(inclusion(0, leafHashes.slice(0, 1))).toEqual([]);
    expect(asHex(inclusion(0, leafHashes))).toEqual([
      '96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7',
      '5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e',
      '6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4',
    ]);
    expect(asHex(inclusion(5, leafHashes))).toEqual([
      'bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b',
      'ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0',
      'd37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7',
    ]);
    expect(asHex(inclusion(2, leafHashes.slice(0, 3)))).toEqual([
      'fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125',
    ]);
  });

  test('proofs of consistency', () => {
    expect(asHex(consistency(1, leafHashes))).toEqual([
      '96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7',
      '5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e',
      '6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4',
    ]);
    expect(asHex(consistency(6, leafHashes))).toEqual([
      '0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a',
      'ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0',
      'd37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7',
    ]);
    expect(asHex(consistency(2, leafHashes.slice(0, 5)))).toEqual([
      '5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e',
      'bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b',
    ]);
  });
});

describe('every tree up to 40 leaves', () => {
  const all = leaves(40);
  const roots = Array.from({ length: all.length + 1 }, (_, size) => defined(all.slice(0, size)));
  const rootOf = (size: number) => roots[size] ?? emptyTreeHash;

  test('has the head of its definition, also when building went on from its subtrees', () => {
    for (let size = 0; size <= all.length; size += 1) {
      const tree = grown(all.slice(0, size));
      expect(tree.root()).toEqual(rootOf(size));
      const resumed = GrowingTree.at(size, tree.subtrees);
      for (const leaf of all.slice(size)) resumed?.append(leaf);
      expect(resumed?.root()).toEqual(rootOf(all.length));
    }
  });

  test('proves each of its leaves, and no other place or size', () => {
    for (let size = 1; size <= all.length; size += 1) {
      for (let index = 0; index < size; index += 1) {
        const proof = inclusion(index, all.slice(0, size));
        const claim = { index, size, leafHash: all[index] ?? emptyTreeHash, root: rootOf(size) };
        expect(verifyInclusion(proof, claim)).toBe(true);
        expect(verifyInclusion(proof, { ...claim, index: index + 1 })).toBe(false);
        expect(verifyInclusion(proof, { ...claim, size: 2 * size })).toBe(false);
        expect(verifyInclusion(proof, { ...claim, root: rootOf(size - 1) })).toBe(false);
        expect(verifyInclusion([...proof, emptyTreeHash], claim)).toBe(false);
        if (proof.length > 0) expect(verifyInclusion(proof.slice(1), claim)).toBe(false);
      }
    }
  });

  test('proves each tree it began as, and no other', () => {
    for (let secondSize = 1; secondSize <= all.length; secondSize += 1) {
      for (let firstSize = 1; firstSize <= secondSize; firstSize += 1) {
        const proof = consistency(firstSize, all.slice(0, secondSize));
        const claim = { firstSize, firstRoot: rootOf(firstSize), secondSize, secondRoot: rootOf(secondSize) };
        expect(verifyConsistency(proof, claim)).toBe(true);
        expect(verifyConsistency(proof, { ...claim, secondSize: 2 * secondSize })).toBe(false);
        expect(verifyConsistency(proof, { ...claim, firstRoot: rootOf(firstSize - 1) })).toBe(false);
        expect(verifyConsistency(proof, { ...claim, secondRoot: rootOf(secondSize - 1) })).toBe(false);
        expect(verifyConsistency([...proof, emptyTreeHash], claim)).toBe(false);
        if (proof.length > 0) expect(verifyConsistency(proof.slice(0, -1), claim)).toBe(false);
      }
    }
  });

  test('proves consistency also from where the first tree stood, without what came before it', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 39 }), fc.integer({ min: 1, max: 40 }), (firstSize, more) => {
        const secondSize = Math.min(firstSize + more, all.length);
        const prover = TreeProver.consistency(firstSize, secondSize);
        const tree = GrowingTree.at(firstSize, grown(all.slice(0, firstSize)).subtrees, prover.onNode);
        for (const leaf of all.slice(firstSize, secondSize)) tree?.append(leaf);
        expect(asHex(prover.proof())).toEqual(asHex(consistency(firstSize, all.slice(0, secondSize))));
      }),
    );
  });
});

test('what no tree has is refused', () => {
  const refused = expect.objectContaining({ name: 'InputInvalidError' }) as Error;
  expect(() => TreeProver.inclusion(3, 3)).toThrow(refused);
  expect(() => TreeProver.inclusion(0.5, 3)).toThrow(refused);
  expect(() => TreeProver.consistency(4, 3)).toThrow(refused);
  expect(() => TreeProver.consistency(0, 3)).toThrow(refused);
  expect(() => TreeProver.inclusion(0, 2).proof()).toThrow(refused);
  expect(GrowingTree.at(3, [emptyTreeHash])).toBeUndefined();
  expect(GrowingTree.at(1, [Buffer.alloc(31)])).toBeUndefined();
});

describe('a proof over several steps', () => {
  const hashes = leaves(70);
  const stagesOf = (sizes: readonly number[]) =>
    sizes.map((size, place) => ({
      size,
      subtrees: grown(hashes.slice(0, size)).subtrees,
      consistency: place === 0 ? [] : consistency(sizes[place - 1] ?? 1, hashes.slice(0, size)),
    }));

  test('is the one that the leaves would have given, whatever the steps', () => {
    const sizes = fc.uniqueArray(fc.integer({ min: 1, max: hashes.length }), { minLength: 1, maxLength: 12 });
    fc.assert(
      fc.property(sizes, (some) => {
        const steps = some.toSorted((one, other) => one - other);
        const [first = 1, last = 1] = [steps[0], steps.at(-1)];
        expect(consistencyAlong(stagesOf(steps))).toEqual(consistency(first, hashes.slice(0, last)));
      }),
    );
  });

  test('is none of what is no row of stages', () => {
    const [one, two, three] = stagesOf([3, 7, 11]);
    if (one === undefined || two === undefined || three === undefined) throw new Error('the spec has three stages');
    const wrong = [
      [],
      [two, one],
      [one, { ...two, consistency: two.consistency.slice(1) }],
      [one, { ...two, subtrees: [] }, three],
      [{ ...one, subtrees: two.subtrees }, two],
      [one, three, two],
      [one, three],
    ];
    for (const stages of wrong.slice(0, -1)) expect(consistencyAlong(stages)).toBeUndefined();
    // A step left out shows when the proof is verified, if its shape does not show it before.
    const proof = consistencyAlong(wrong.at(-1) ?? []);
    const claim = { firstSize: 3, firstRoot: grown(hashes.slice(0, 3)).root(), secondSize: 11 };
    const secondRoot = grown(hashes.slice(0, 11)).root();
    expect(proof !== undefined && verifyConsistency(proof, { ...claim, secondRoot })).toBe(false);
  });
});
