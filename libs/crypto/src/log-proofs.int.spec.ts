import {
  cosignCheckpoint,
  generateSigningKey,
  GrowingTree,
  noteVerifierKey,
  signCheckpoint,
  treeLeafHash,
  TreeProver,
  type TreeHash,
  witnessVerifierKey,
} from './index.ts';
import { describeWithGo } from './spec-support/go-program.ts';

const origin = 'log.example/ACCESS';
const key = generateSigningKey();
const next = generateSigningKey();
const verifierKey = noteVerifierKey(origin, key.publicJwk);
const leaves = Array.from({ length: 33 }, (_, index) => Buffer.from(`leaf ${index}`));

function grow(size: number, prover?: TreeProver): GrowingTree {
  const tree = new GrowingTree(prover?.onNode);
  for (const leaf of leaves.slice(0, size)) tree.append(treeLeafHash(leaf));
  return tree;
}
const base64 = (proof: readonly TreeHash[]) => proof.map((one) => one.toString('base64'));
const checkpoints = Array.from({ length: leaves.length + 1 }, (_, size) =>
  signCheckpoint({ origin, size, root: grow(size).root() }, [next.privateJwk, key.privateJwk]),
);

function question(size: number, index: number, olderSize: number) {
  const [inclusion, consistency] = [TreeProver.inclusion(index, size), TreeProver.consistency(olderSize, size)];
  grow(size, inclusion);
  grow(size, consistency);
  return {
    verifier_key: verifierKey,
    checkpoint: checkpoints[size],
    inclusion: { leaf: leaves[index]?.toString('base64'), index, proof: base64(inclusion.proof()) },
    older: { checkpoint: checkpoints[olderSize], proof: base64(consistency.proof()) },
  };
}

describeWithGo('the libraries of Go’s own module log (golang.org/x/mod/sumdb)', 'check-log', (ask) => {
  test('take every checkpoint and every proof', () => {
    const questions = [];
    for (let size = 1; size <= leaves.length; size += 1) {
      for (let index = 0; index < size; index += 1) questions.push(question(size, index, index + 1));
    }
    expect(new Set(ask(questions))).toEqual(new Set(['ok']));
  });

  test('take nothing that was changed', () => {
    const right = question(21, 13, 9);
    const wrong = [
      { ...right, checkpoint: right.checkpoint?.replace('\n21\n', '\n22\n') },
      { ...right, verifier_key: noteVerifierKey(origin, generateSigningKey().publicJwk) },
      { ...right, inclusion: { ...right.inclusion, leaf: leaves[12]?.toString('base64') } },
      { ...right, inclusion: { ...right.inclusion, index: 12 } },
      { ...right, older: { ...right.older, proof: right.older.proof.slice(1) } },
      { ...right, older: { ...right.older, checkpoint: checkpoints[8] } },
    ];
    expect(ask([right])).toEqual(['ok']);
    expect(ask(wrong).filter((answer) => answer === 'ok')).toEqual([]);
  });

  test('take a witness’s cosignature as other logs’ witnesses write it, and no other', () => {
    const witness = generateSigningKey();
    const [name, timeS] = ['witness.example/one', 1_679_315_147];
    const checkpoint = checkpoints[21] ?? '';
    const cosigned = checkpoint + cosignCheckpoint(checkpoint, { name, key: witness.privateJwk, timeS });
    const asked = {
      ...question(21, 13, 9),
      checkpoint: cosigned,
      witness: witnessVerifierKey({ name, key: witness.publicJwk }),
    };
    expect(ask([asked])).toEqual(['ok']);
    const stranger = witnessVerifierKey({ name, key: generateSigningKey().publicJwk });
    const other = checkpoint + cosignCheckpoint(checkpoints[20] ?? '', { name, key: witness.privateJwk, timeS });
    const wrong = [
      { ...asked, checkpoint },
      { ...asked, witness: stranger },
      { ...asked, checkpoint: other },
    ];
    expect(ask(wrong).filter((answer) => answer === 'ok')).toEqual([]);
  });
});
