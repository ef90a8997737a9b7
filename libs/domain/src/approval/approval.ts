import { PosternError, type AdminEvent } from '@postern/contracts';

import { adminEvent, adminEvolve, alike, type AdminDataOf, type AdminState } from '../admin-events.ts';
import type { Evolver } from '../evolver.ts';

/** What a tenant may use at one provider, and what somebody asks for; the aggregate's id is the provider's. */
export interface Approval extends AdminState {
  readonly exists: boolean;
  readonly tenantId: string;
  readonly providerId: string;
  /** Of the last request. */
  readonly number: number;
  /** Waits for a second administrator; null when nothing does. */
  readonly open: AdminDataOf<'ApprovalRequested'> | null;
  /** What may be used, with both signatures; null: nothing. */
  readonly approved: ApprovedAccess | null;
  /** Never: what was approved is withdrawn by name. */
  readonly disabled: boolean;
}

export interface ApprovedAccess {
  readonly requested: AdminDataOf<'ApprovalRequested'>;
  readonly granted: AdminDataOf<'ApprovalGranted'>;
}

export type ApprovalEvent = Extract<
  AdminEvent,
  { type: 'ApprovalCreated' | 'ApprovalRequested' | 'ApprovalGranted' | 'ApprovalDenied' }
>;

// Member by member: the state is compared byte for byte, in whatever order the event was written.
function requestIn(data: AdminDataOf<'ApprovalRequested'>): AdminDataOf<'ApprovalRequested'> {
  const { number, fileVersion, scopes, hosts, risk, reason, by } = data;
  const { administratorId, signature } = by;
  return { number, fileVersion, scopes, hosts, risk, reason, by: { administratorId, signature } };
}

function grantIn(data: AdminDataOf<'ApprovalGranted'>): AdminDataOf<'ApprovalGranted'> {
  const { number, fileVersion, scopes, hosts, risk, by } = data;
  const { administratorId, signature } = by;
  return { number, fileVersion, scopes, hosts, risk, by: { administratorId, signature } };
}

/** The fold of an approval's events. */
export const approvalEvolver: Evolver<Approval, ApprovalEvent> = Object.freeze({
  kind: 'approval',
  stateVersion: 1,
  initialState: Object.freeze({
    exists: false,
    tenantId: '',
    providerId: '',
    number: 0,
    open: null,
    approved: null,
    disabled: false,
  }),
  evolve: adminEvolve<Approval, ApprovalEvent['type']>('ApprovalCreated', {
    ApprovalCreated: (state, { providerId }, { tenantId }) => ({ ...state, exists: true, tenantId, providerId }),
    ApprovalRequested: (state, data) => ({ ...state, number: data.number, open: requestIn(data) }),
    ApprovalGranted: (state, data) =>
      state.open === null
        ? state
        : { ...state, open: null, approved: { requested: state.open, granted: grantIn(data) } },
    ApprovalDenied: (state, { number }) => ({
      ...state,
      open: state.open?.number === number ? null : state.open,
      approved: state.approved?.granted.number === number ? null : state.approved,
    }),
  }),
});

/**
 * Asks that a tenant may use a provider with these scopes at these hosts; until a second administrator has said yes, what
 * was approved before stays as it is.
 *
 * That who signs is an administrator of the tenant is for the caller to know.
 *
 * @returns no events when exactly this is approved.
 * @throws {PosternError} `approval.pending` while another request waits, `governance.changed`
 */
export function requestApproval(
  { providerId, ...data }: AdminDataOf<'ApprovalRequested'> & { readonly providerId: string },
  state: Approval,
): ApprovalEvent[] {
  if (state.open !== null) throw new PosternError('approval.pending', `Request ${state.open.number} is not decided.`);
  requireNumber(data, state.number + 1);
  const { approved } = state;
  if (approved !== null && alike(contentOf(approved.granted), contentOf(data))) return [];
  const requested = adminEvent('ApprovalRequested', data);
  return state.exists ? [requested] : [adminEvent('ApprovalCreated', { providerId }), requested];
}

/**
 * Says yes to the request that waits, as another administrator than the one who asked.
 *
 * @throws {PosternError} `approval.nothing_open`, `approval.own_request`, `governance.changed` where what was signed is
 *   not what was asked for
 */
export function grantApproval(data: AdminDataOf<'ApprovalGranted'>, { open }: Approval): ApprovalEvent[] {
  if (open === null) throw new PosternError('approval.nothing_open', 'No request waits for an answer.');
  if (open.by.administratorId === data.by.administratorId) {
    throw new PosternError('approval.own_request', 'Who asks does not say yes.');
  }
  requireNumber(data, open.number);
  if (!alike(contentOf(open), contentOf(data))) throw changed();
  return [adminEvent('ApprovalGranted', data)];
}

/**
 * Says no to the request that waits; where none does, withdraws what was approved. Any administrator may, also who asked.
 *
 * @throws {PosternError} `approval.nothing_open` where there is neither, `governance.changed`
 */
export function denyApproval(data: AdminDataOf<'ApprovalDenied'>, { open, approved }: Approval): ApprovalEvent[] {
  const number = open?.number ?? approved?.granted.number;
  if (number === undefined) throw new PosternError('approval.nothing_open', 'Nothing was asked for or approved.');
  requireNumber(data, number);
  return [adminEvent('ApprovalDenied', data)];
}

function contentOf({ fileVersion, scopes, hosts, risk }: Omit<AdminDataOf<'ApprovalGranted'>, 'number' | 'by'>) {
  return { fileVersion, scopes, hosts, risk };
}

function requireNumber({ number }: { readonly number: number }, wanted: number): void {
  if (number !== wanted) throw changed();
}

function changed(): PosternError {
  return new PosternError('governance.changed', 'Something was decided after what the signature knows of.');
}
