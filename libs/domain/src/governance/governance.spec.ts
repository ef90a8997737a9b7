import { admin, signedBy } from '../spec-support/admin.ts';
import { specification } from '../spec-support/given.ts';
import { addAdministrator, changePolicy, governanceEvolver, removeAdministrator } from './governance.ts';

const { given, stateOf } = specification(governanceEvolver, 'ten_01jd0000000000000000000001');
const begun = admin.governanceCreated();
const one = [begun, admin.administratorAdded(1)];
const two = [...one, admin.administratorAdded(2)];
const three = [...two, admin.administratorAdded(3)];
const data = (n: number, by?: Parameters<typeof admin.administratorAdded>[1]) => admin.administratorAdded(n, by).data;

describe('administrators', () => {
  test('the first needs nobody to vouch, every other one does', () => {
    given([]).when(addAdministrator, data(1)).then(one);
    given(one)
      .when(addAdministrator, data(2))
      .then([admin.administratorAdded(2)]);
    given(one).when(addAdministrator, data(2, null)).thenRefused('administrator.signature_required');
    given(one)
      .when(addAdministrator, data(2, signedBy(7)))
      .thenRefused('administrator.not_found');
  });

  test('a key, or a name, is one administrator’s for ever', () => {
    const gone = [...two, admin.administratorRemoved()];
    const { publicJwk } = data(2);
    given(gone)
      .when(addAdministrator, { ...data(4, signedBy(1)), publicJwk })
      .thenRefused('administrator.exists');
    given(two)
      .when(addAdministrator, { ...data(2), number: 3 })
      .thenRefused('administrator.exists');
  });

  test('a signature is good once: for the decision after the last one', () => {
    given(two).when(addAdministrator, data(2)).thenRefused('governance.changed');
    given(two)
      .when(removeAdministrator, admin.administratorRemoved({ number: 4 }).data)
      .thenRefused('governance.changed');
    given(two)
      .when(changePolicy, admin.tenantPolicyChanged({ number: 2 }).data)
      .thenRefused('governance.changed');
  });

  test('who was removed signs nothing more, and what he signed is known', () => {
    const gone = [...two, admin.administratorRemoved()];
    given(two).when(removeAdministrator, admin.administratorRemoved().data).then([admin.administratorRemoved()]);
    given(gone)
      .when(changePolicy, admin.tenantPolicyChanged({ number: 4, by: signedBy(2) }).data)
      .thenRefused('administrator.not_found');
    given(gone)
      .when(removeAdministrator, admin.administratorRemoved({ number: 4 }).data)
      .thenRefused('administrator.not_found');
    expect(stateOf(gone).administrators.map(({ removed }) => removed)).toEqual([false, true]);
  });

  test('the last one stays; while approvals are required, the last two', () => {
    const itself = admin.administratorRemoved({ number: 2, administratorId: signedBy(1).administratorId }).data;
    given(one).when(removeAdministrator, itself).thenRefused('administrator.last');
    const required = [...two, admin.tenantPolicyChanged()];
    const { data: second } = admin.administratorRemoved({ number: 4 });
    given(required).when(removeAdministrator, second).thenRefused('administrator.last');
    given([...three, admin.tenantPolicyChanged({ number: 4 })])
      .when(removeAdministrator, { ...second, number: 5 })
      .then([admin.administratorRemoved({ number: 5 })]);
  });
});

describe('the policy', () => {
  test('is signed; approvals need two administrators', () => {
    given(two).when(changePolicy, admin.tenantPolicyChanged().data).then([admin.tenantPolicyChanged()]);
    given(one)
      .when(changePolicy, admin.tenantPolicyChanged({ number: 2 }).data)
      .thenRefused('governance.too_few');
    const any = { number: 2, approvals: 'none', highRiskConnections: 'any' } as const;
    given(one)
      .when(changePolicy, admin.tenantPolicyChanged(any).data)
      .then([admin.tenantPolicyChanged(any)]);
    given([])
      .when(changePolicy, admin.tenantPolicyChanged({ number: 1 }).data)
      .thenRefused('administrator.not_found');
  });

  test('that is so already is no event', () => {
    given([...two, admin.tenantPolicyChanged()])
      .when(changePolicy, admin.tenantPolicyChanged({ number: 4 }).data)
      .thenNothing();
  });
});
