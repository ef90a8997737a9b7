import { isThere, readStandards, sourceOf, type Requirement } from './conformance.ts';

const standards = readStandards();
const requirements = standards.flatMap(({ id, requirements: all }) => all.map((one) => ({ standard: id, ...one })));

test('the standards that fall to a client are listed', () => {
  expect(standards.map(({ id }) => id)).toEqual([
    ...['RFC 6749', 'RFC 7523', 'RFC 7636', 'RFC 8628', 'RFC 8693', 'RFC 8705', 'RFC 8707', 'RFC 9101', 'RFC 9126'],
    ...['RFC 9207', 'RFC 9396', 'RFC 9449', 'RFC 9700'],
    ...['ID-JAG (draft 04)', 'MCP authorization', 'Hostile servers'],
  ]);
});

test('each requirement has a test, a reason why it does not apply, or what it waits for, and one of these alone', () => {
  const has = ({ proofs, notApplicable, pending }: Requirement) =>
    [proofs.length > 0, notApplicable !== null, pending !== null].filter(Boolean).length;
  expect(requirements.filter((one) => has(one) !== 1 || one.must === '')).toEqual([]);
});

test('no requirement stands twice', () => {
  const names = requirements.map(({ standard, section, must }) => `${standard} §${section} ${must}`);
  expect(names.filter((name, index) => names.indexOf(name) !== index)).toEqual([]);
});

const proofs = requirements.flatMap(({ standard, section, proofs: all }) =>
  all.map((proof) => [`${standard} §${section}`, proof] as const),
);

test.each(proofs)('%s is proved by a test that exists: %j', (_where, proof) => {
  expect(isThere(proof, sourceOf(proof))).toBe(true);
});

test('every test that is named by a section proves something here', () => {
  const specs = new Set(proofs.map(([, { spec }]) => spec).filter((spec) => spec.endsWith('.conformance.spec.ts')));
  const named = [...specs].flatMap((spec) =>
    [...sourceOf({ spec }).matchAll(/\(\s*(['"`])(§[^\n]*?)\1,/g)].map(([, , name = '']) => `${spec}: ${name}`),
  );
  const known = new Set(proofs.map(([, { spec, test: name }]) => `${spec}: ${name}`));
  expect(named.filter((name) => !known.has(name))).toEqual([]);
});

test.each([
  ["test('a rule', () => {", true],
  ["test.each([1, 2])('a rule', (n) => {", true],
  ["test.each([\n  1,\n])(\n  'a rule',\n  (n) => {", true],
  ["test('another rule', () => {", false],
  ["test('a rule of another kind', () => {", false],
  ["test.skip('a rule', () => {", false],
  ["xtest('a rule', () => {", false],
  ["test.todo('a rule');", false],
  ['// a rule', false],
])('a named test in %j: %s', (source, there) => {
  expect(isThere({ test: 'a rule' }, source)).toBe(there);
});
