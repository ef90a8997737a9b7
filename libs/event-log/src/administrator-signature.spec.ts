import { newId, type AdministratorDecision, type AdministratorJwk, type SignedBy } from '@postern/contracts';
import { generateSigningKey } from '@postern/crypto';

import { requireSignature, signAsAdministrator, type RecordedAdministrator } from './administrator-signature.ts';

const tenantId = newId('tenant');
const refused = { code: 'administrator.signature_invalid' };

interface Person extends RecordedAdministrator {
  readonly sign: (decision: AdministratorDecision) => SignedBy;
}

/** An administrator whom another one vouched for. */
function person(voucher?: Person): Person {
  const { privateJwk, publicJwk } = generateSigningKey();
  const administratorId = newId('administrator');
  const recorded = { administratorId, publicJwk: publicJwk as AdministratorJwk };
  const by = voucher?.sign(addition(recorded)) ?? null;
  const sign = (decision: AdministratorDecision) => ({
    administratorId,
    signature: signAsAdministrator(decision, privateJwk),
  });
  return { ...recorded, by, sign };
}
const addition = (data: object): AdministratorDecision => ({
  ...{ tenantId, aggregate: 'governance', aggregateId: tenantId, type: 'AdministratorAdded', data: { ...data } },
});
const decision = (over: Partial<AdministratorDecision> = {}): AdministratorDecision => ({
  ...{ tenantId, aggregate: 'approval', aggregateId: 'hubspot', type: 'ApprovalGranted' },
  data: { number: 1, hosts: ['a', 'b'], nested: { x: 1, y: 2 } },
  ...over,
});
const recorded = (...people: Person[]) => people.map(({ sign: _sign, ...one }) => one);

const first = person();
const second = person(first);
const third = person(second);
const all = recorded(first, second, third);

test('is believed of who was vouched for, back to the first', () => {
  for (const who of [first, second, third]) requireSignature(decision(), who.sign(decision()), all);
});

test('says the same in whatever order it is written', () => {
  const other = decision({ data: { nested: { y: 2, x: 1 }, hosts: ['a', 'b'], number: 1, by: 'not signed' } });
  requireSignature(other, first.sign(decision()), all);
});

test.each([
  ['another tenant', { tenantId: newId('tenant') }],
  ['another provider', { aggregateId: 'slack' }],
  ['another aggregate', { aggregate: 'governance' }],
  ['another kind of decision', { type: 'ApprovalRequested' }],
  ['another number', { data: { ...decision().data, number: 2 } }],
  ['hosts in another order', { data: { ...decision().data, hosts: ['b', 'a'] } }],
] as const)('is good for nothing of %s', (_name, over) => {
  expect(() => requireSignature(decision(over), first.sign(decision()), all)).toThrow(expect.objectContaining(refused));
});

test('of a stranger, or of one whom nobody or only himself vouched for, is none', () => {
  const stranger = person();
  const itself = person(stranger);
  const forger = { ...itself, by: itself.sign(addition(recorded(itself)[0] ?? {})) };
  for (const [who, among] of [
    [stranger, all],
    [stranger, [...all, ...recorded(stranger)]],
    [itself, [...all, ...recorded(itself)]],
    [forger, [...all, ...recorded(forger)]],
  ] as const) {
    expect(() => requireSignature(decision(), who.sign(decision()), among)).toThrow(expect.objectContaining(refused));
  }
});

test('of who was vouched for only by who came later is none', () => {
  expect(() => requireSignature(decision(), second.sign(decision()), recorded(third, second, first))).toThrow(
    expect.objectContaining(refused),
  );
});
