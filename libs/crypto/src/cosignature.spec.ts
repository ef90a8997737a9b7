import {
  addCheckpointBody,
  cosignaturesOf,
  cosignCheckpoint,
  generateSigningKey,
  isWitnessed,
  openCheckpoint,
  parseAddCheckpoint,
  parseWitness,
  signCheckpoint,
  treeLeafHash,
  witnessVerifierKey,
} from './index.ts';

const origin = 'log.example/CONNECTIONS';
const log = generateSigningKey();
const note = signCheckpoint({ origin, size: 12_345, root: treeLeafHash(Buffer.from('x')) }, [log.privateJwk]);
const [one, two] = ['one', 'two'].map((name) => ({ name: `witness.example/${name}`, pair: generateSigningKey() })) as [
  { name: string; pair: ReturnType<typeof generateSigningKey> },
  { name: string; pair: ReturnType<typeof generateSigningKey> },
];
const witnessOf = ({ name, pair }: typeof one) => ({ name, key: pair.publicJwk });
const lineOf = ({ name, pair }: typeof one, timeS = 1_679_315_147) =>
  cosignCheckpoint(note, { name, key: pair.privateJwk, timeS });
const witnesses = [witnessOf(one), witnessOf(two)];

test('a cosignature says who saw the checkpoint, and when; the log’s own signature stays what it is', () => {
  const cosigned = `${note}${lineOf(one)}${lineOf(two)}`;
  expect(cosignaturesOf(cosigned, witnesses)).toEqual([
    { witness: one.name, timeS: 1_679_315_147 },
    { witness: two.name, timeS: 1_679_315_147 },
  ]);
  expect(openCheckpoint(cosigned, { origin, keys: [log.publicJwk] })).toMatchObject({ size: 12_345 });
});

test('a quorum counts witnesses, not lines, names or strangers', () => {
  const three = { witnesses, quorum: 2 };
  expect(isWitnessed(`${note}${lineOf(one)}${lineOf(two)}`, three)).toBe(true);
  const alias = { name: 'witness.example/alias', pair: one.pair };
  const stranger = { name: two.name, pair: generateSigningKey() };
  for (const more of [[one], [one, one], [one, alias], [one, stranger]]) {
    expect(isWitnessed(note + more.map((each) => lineOf(each)).join(''), three)).toBe(false);
  }
  const aliased = { witnesses: [witnessOf(one), witnessOf(alias)], quorum: 1 };
  expect(cosignaturesOf(`${note}${lineOf(one)}${lineOf(alias)}`, aliased.witnesses)).toHaveLength(1);
  for (const quorum of [0, 2, 0.5, Number.NaN]) {
    expect(() => isWitnessed(note, { ...aliased, quorum })).toThrow(
      expect.objectContaining({ name: 'InputInvalidError' }),
    );
  }
});

test('a line that a known witness did not make so spoils the note', () => {
  const other = signCheckpoint({ origin, size: 12_346, root: treeLeafHash(Buffer.from('x')) }, [log.privateJwk]);
  const bytes = Buffer.from(lineOf(one).split(' ')[2] ?? '', 'base64');
  const at = (place: number) => {
    const changed = Buffer.from(bytes);
    changed.writeUInt8((changed[place] ?? 0) ^ 1, place);
    return `— ${one.name} ${changed.toString('base64')}\n`;
  };
  // The time (from byte 4) is signed, too.
  for (const line of [at(11), at(40), `— ${one.name} ${bytes.subarray(0, -1).toString('base64')}\n`]) {
    expect(cosignaturesOf(`${note}${lineOf(two)}${line}`, witnesses)).toEqual([]);
  }
  expect(cosignaturesOf(`${other}${lineOf(one)}`, witnesses)).toEqual([]);
  expect(cosignaturesOf('', witnesses)).toEqual([]);
});

test('a verifier key is read back as it is written, and no other one is taken', () => {
  const written = witnessVerifierKey(witnessOf(one));
  expect(parseWitness(written)).toMatchObject({ name: one.name, key: { x: one.pair.publicJwk.x } });
  const [name = '', keyId = '', key = ''] = written.split('+', 3);
  const asLog = Buffer.from(written.slice(name.length + keyId.length + 2), 'base64');
  asLog[0] = 1;
  for (const wrong of [
    '',
    name,
    `${name}+00000000+${key}`,
    `other+${keyId}+${key}`,
    `${name}+${keyId}+${asLog.toString('base64')}`,
  ]) {
    expect(() => parseWitness(wrong)).toThrow(expect.objectContaining({ name: 'InputInvalidError' }));
  }
});

describe('the body of add-checkpoint', () => {
  const proof = [treeLeafHash(Buffer.from('a')), treeLeafHash(Buffer.from('b'))];

  test('is what the specification shows', () => {
    const body = addCheckpointBody({ oldSize: 7, proof, checkpoint: note });
    expect(body).toBe(`old 7\n${proof.map((hash) => `${hash.toString('base64')}\n`).join('')}\n${note}`);
    expect(parseAddCheckpoint(body)).toEqual({ oldSize: 7, proof, checkpoint: note });
    const first = addCheckpointBody({ oldSize: 0, proof: [], checkpoint: note });
    expect([first, parseAddCheckpoint(first)?.proof]).toEqual([`old 0\n\n${note}`, []]);
  });

  test('of another shape is none', () => {
    const [hash = ''] = proof.map((each) => each.toString('base64'));
    const many = `${hash}\n`.repeat(64);
    for (const wrong of [
      '',
      'old 1',
      'old 01\n\nx',
      'old -1\n\nx',
      'new 1\n\nx',
      'old 1\nAA==\n\nx',
      `old 1\n${many}\nx`,
    ]) {
      expect([wrong, parseAddCheckpoint(wrong)]).toEqual([wrong, undefined]);
    }
    const tooMany = {
      oldSize: 1,
      proof: Array.from({ length: 64 }, () => proof[0] ?? Buffer.alloc(32)),
      checkpoint: note,
    };
    expect(() => addCheckpointBody(tooMany)).toThrow(expect.objectContaining({ name: 'InputInvalidError' }));
  });
});
