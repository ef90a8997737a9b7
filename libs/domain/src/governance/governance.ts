import { PosternError, type AdminEvent, type SignedBy } from '@postern/contracts';

import { adminEvent, adminEvolve, type AdminDataOf, type AdminState } from '../admin-events.ts';
import type { Evolver } from '../evolver.ts';

/** Somebody whose signature counts. One who was removed stays, so that what was signed before can still be checked. */
export interface GoverningAdministrator extends AdminDataOf<'AdministratorAdded'> {
  readonly removed: boolean;
}

/** Who signs for a tenant, and what is asked of them: one aggregate, so that the last one is not removed twice. */
export interface Governance extends AdminState {
  readonly exists: boolean;
  readonly tenantId: string;
  /** Of the last signed decision: a signature is good for the one after it, and for no other. */
  readonly number: number;
  readonly administrators: readonly GoverningAdministrator[];
  /** As it was signed; null while nobody decided: then nothing needs approval, and high risk has connections of its own. */
  readonly policy: AdminDataOf<'TenantPolicyChanged'> | null;
  /** Never: it has no end of its own. */
  readonly disabled: boolean;
}

export type GovernanceEvent = Extract<
  AdminEvent,
  { type: 'GovernanceCreated' | 'AdministratorAdded' | 'AdministratorRemoved' | 'TenantPolicyChanged' }
>;

/** The fold of a governance's events. */
export const governanceEvolver: Evolver<Governance, GovernanceEvent> = Object.freeze({
  kind: 'governance',
  stateVersion: 1,
  initialState: Object.freeze({
    exists: false,
    tenantId: '',
    number: 0,
    administrators: [],
    policy: null,
    disabled: false,
  }),
  evolve: adminEvolve<Governance, GovernanceEvent['type']>('GovernanceCreated', {
    GovernanceCreated: (state, _data, { tenantId }) => ({ ...state, exists: true, tenantId }),
    // Member by member: the state is compared byte for byte, in whatever order the event was written.
    AdministratorAdded: (state, { number, administratorId, name, publicJwk, by }) => {
      const { kty, crv, x, kid } = publicJwk;
      const added = {
        number,
        administratorId,
        name,
        publicJwk: { kty, crv, x, kid },
        by: signedBy(by),
        removed: false,
      };
      return { ...state, number, administrators: [...state.administrators, added] };
    },
    AdministratorRemoved: (state, { number, administratorId }) => ({
      ...state,
      number,
      administrators: state.administrators.map((one) =>
        one.administratorId === administratorId ? { ...one, removed: true } : one,
      ),
    }),
    TenantPolicyChanged: (state, { number, approvals, highRiskConnections, by: { administratorId, signature } }) => ({
      ...state,
      number,
      policy: { number, approvals, highRiskConnections, by: { administratorId, signature } },
    }),
  }),
});

function signedBy(by: SignedBy | null): SignedBy | null {
  return by === null ? null : { administratorId: by.administratorId, signature: by.signature };
}

/** Those whose signature counts today. */
export function livingAdministrators({ administrators }: Governance): GoverningAdministrator[] {
  return administrators.filter(({ removed }) => !removed);
}

/** @throws {PosternError} `administrator.not_found` for who is not one, or not any more */
export function requireLivingAdministrator(state: Governance, { administratorId }: { administratorId: string }): void {
  if (livingAdministrators(state).some((one) => one.administratorId === administratorId)) return;
  throw new PosternError('administrator.not_found', 'Who signed is no administrator of the tenant.');
}

function requireNext(state: Governance, { number }: { readonly number: number }): void {
  if (number === state.number + 1) return;
  throw new PosternError('governance.changed', 'Something was decided after what the signature knows of.');
}

/**
 * Records an administrator's public key. The first of a tenant is vouched for by whoever holds the data folder; every
 * other one by the signature of one who is there.
 *
 * @throws {PosternError} `administrator.signature_required`, `administrator.not_found` for a stranger's signature,
 *   `administrator.exists` also for a key that is somebody's already, `governance.changed`
 */
export function addAdministrator(data: AdminDataOf<'AdministratorAdded'>, state: Governance): GovernanceEvent[] {
  requireNext(state, data);
  const isFirst = state.administrators.length === 0;
  if (!isFirst && data.by === null) {
    throw new PosternError('administrator.signature_required', 'Another administrator must vouch for a new one.');
  }
  if (data.by !== null) requireLivingAdministrator(state, data.by);
  const { administratorId, publicJwk } = data;
  if (state.administrators.some((one) => one.administratorId === administratorId || one.publicJwk.x === publicJwk.x)) {
    throw new PosternError('administrator.exists', 'The key is, or was, an administrator’s already.');
  }
  const added = adminEvent('AdministratorAdded', data);
  return state.exists ? [added] : [adminEvent('GovernanceCreated', {}), added];
}

/** How many it takes while a second one must approve. */
const administratorsMin = 2;

/**
 * Ends what an administrator's signature is good for; what was signed before stays signed.
 *
 * @throws {PosternError} `administrator.not_found`, `administrator.last` where too few would be left, `governance.changed`
 */
export function removeAdministrator(data: AdminDataOf<'AdministratorRemoved'>, state: Governance): GovernanceEvent[] {
  requireNext(state, data);
  requireLivingAdministrator(state, data.by);
  requireLivingAdministrator(state, data);
  const least = state.policy?.approvals === 'required' ? administratorsMin : 1;
  if (livingAdministrators(state).length <= least) {
    throw new PosternError('administrator.last', `The tenant needs ${least} to go on.`);
  }
  return [adminEvent('AdministratorRemoved', data)];
}

/**
 * Decides whether providers and scopes need the approval of a second administrator, and whether what is of high risk may
 * be added to connections that are not.
 *
 * @returns no events when it is so already.
 * @throws {PosternError} `administrator.not_found`, `governance.too_few` where nobody could approve, `governance.changed`
 */
export function changePolicy(data: AdminDataOf<'TenantPolicyChanged'>, state: Governance): GovernanceEvent[] {
  requireNext(state, data);
  requireLivingAdministrator(state, data.by);
  if (data.approvals === 'required' && livingAdministrators(state).length < administratorsMin) {
    throw new PosternError('governance.too_few', 'Nobody could approve what the only administrator asks for.');
  }
  const { policy } = state;
  const isSame = policy?.approvals === data.approvals && policy.highRiskConnections === data.highRiskConnections;
  return isSame ? [] : [adminEvent('TenantPolicyChanged', data)];
}
