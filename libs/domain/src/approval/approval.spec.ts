import { admin, signedBy } from '../spec-support/admin.ts';
import { specification } from '../spec-support/given.ts';
import { approvalEvolver, denyApproval, grantApproval, requestApproval } from './approval.ts';

const providerId = 'hubspot';
const { given, stateOf } = specification(approvalEvolver, providerId);
const created = admin.approvalCreated();
const requested = [created, admin.approvalRequested()];
const approved = [...requested, admin.approvalGranted()];
const ask = (data: Parameters<typeof admin.approvalRequested>[0] = {}) => ({
  providerId,
  ...admin.approvalRequested(data).data,
});

test('a request waits for another administrator', () => {
  given([]).when(requestApproval, ask()).then(requested);
  given(requested)
    .when(requestApproval, ask({ number: 2 }))
    .thenRefused('approval.pending');
  given(requested)
    .when(grantApproval, admin.approvalGranted({ by: signedBy(1) }).data)
    .thenRefused('approval.own_request');
  given(requested).when(grantApproval, admin.approvalGranted().data).then([admin.approvalGranted()]);
  given(approved).when(grantApproval, admin.approvalGranted().data).thenRefused('approval.nothing_open');
});

test.each([
  ['another number', { number: 2 }],
  ['more scopes', { scopes: ['crm.objects.contacts.write', 'crm.schemas.contacts.write'] }],
  ['other hosts', { hosts: ['evil.example'] }],
  ['less risk', { risk: 'read' }],
  ['another file', { fileVersion: 4 }],
] as const)('a yes to %s is none to what was asked for', (_name, data) => {
  given(requested)
    .when(grantApproval, admin.approvalGranted(data as Parameters<typeof admin.approvalGranted>[0]).data)
    .thenRefused('governance.changed');
});

test('what was approved stands while more is asked for, and is replaced by the yes to that', () => {
  const more = { number: 2, scopes: ['a', 'b'], risk: 'admin' } as const;
  const asked = [...approved, admin.approvalRequested({ ...more, scopes: ['a', 'b'] })];
  expect(stateOf(asked)).toMatchObject({ approved: { granted: { number: 1 } }, open: { number: 2 } });
  const done = stateOf([...asked, admin.approvalGranted({ ...more, scopes: ['a', 'b'] })]);
  expect(done).toMatchObject({ approved: { granted: { number: 2, scopes: ['a', 'b'] } }, open: null });
});

test('the same again is no event, an old request no new one', () => {
  given(approved)
    .when(requestApproval, ask({ number: 2 }))
    .thenNothing();
  given(approved)
    .when(requestApproval, ask({ scopes: ['more'] }))
    .thenRefused('governance.changed');
});

test('a no ends the request, and where there is none, what was approved', () => {
  given(requested).when(denyApproval, admin.approvalDenied().data).then([admin.approvalDenied()]);
  given(approved).when(denyApproval, admin.approvalDenied().data).then([admin.approvalDenied()]);
  given([]).when(denyApproval, admin.approvalDenied().data).thenRefused('approval.nothing_open');
  given(approved)
    .when(denyApproval, admin.approvalDenied({ number: 2 }).data)
    .thenRefused('governance.changed');
  expect(stateOf([...approved, admin.approvalDenied()])).toMatchObject({ approved: null, open: null, number: 1 });
  const asked = [...approved, admin.approvalRequested({ number: 2 }), admin.approvalDenied({ number: 2 })];
  expect(stateOf(asked)).toMatchObject({ approved: { granted: { number: 1 } }, open: null });
});
