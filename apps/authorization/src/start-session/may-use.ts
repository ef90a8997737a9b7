import { Injectable } from '@nestjs/common';
import { PosternError } from '@postern/contracts';
import type { ApprovedAccess, Governance, Registration } from '@postern/domain';
import { requireSignature } from '@postern/event-log';
import { highRiskScopes, hostsOf, isAbove, riskOf, type Provider } from '@postern/provider-catalog';

import { Directory } from '../directory/directory.ts';

/** What is about to be asked of a provider. */
export interface WantedUse {
  readonly tenantId: string;
  readonly registration: Registration;
  readonly provider: Provider;
  readonly scopes: readonly string[];
}

/** Whether a tenant may use a provider as it is about to, by its own policy (docs/flows/approvals.md). */
@Injectable()
export class MayUse {
  constructor(private readonly directory: Directory) {}

  /**
   * Refuses what a second administrator has not approved, where the tenant demands that. The signatures are looked at here
   * once more: an approval is what two people signed, and not what stands on ADMIN.
   *
   * @throws {PosternError} `approval.required`, `administrator.signature_invalid`, `service.not_ready`
   */
  async require(wanted: WantedUse): Promise<void> {
    const { tenantId, provider } = wanted;
    const governance = this.directory.governance(tenantId);
    if (governance === undefined || policyOf(governance, tenantId)?.approvals !== 'required') return;
    const approved = (await this.directory.approval(tenantId, provider.id))?.approved ?? null;
    if (approved === null) throw required(`${provider.id} is not approved.`);
    requireSigned(approved, { governance, tenantId, providerId: provider.id });
    requireWithin(approved, wanted);
  }

  /** Scopes that are not to be added to a connection without such; undefined where the tenant's policy lets them. */
  keptApart(tenantId: string, provider: Provider): string[] | undefined {
    const governance = this.directory.governance(tenantId);
    const policy = governance === undefined ? null : policyOf(governance, tenantId);
    return policy?.highRiskConnections === 'any' ? undefined : highRiskScopes(provider);
  }
}

function policyOf({ policy, administrators }: Governance, tenantId: string): Governance['policy'] {
  if (policy === null) return null;
  const decision = { tenantId, aggregate: 'governance', aggregateId: tenantId, type: 'TenantPolicyChanged' } as const;
  requireSignature({ ...decision, data: policy }, policy.by, administrators);
  return policy;
}

interface Where {
  readonly governance: Governance;
  readonly tenantId: string;
  readonly providerId: string;
}

function requireSigned({ requested, granted }: ApprovedAccess, { governance, tenantId, providerId }: Where): void {
  const { administrators } = governance;
  const decision = { tenantId, aggregate: 'approval', aggregateId: providerId } as const;
  requireSignature({ ...decision, type: 'ApprovalRequested', data: requested }, requested.by, administrators);
  requireSignature({ ...decision, type: 'ApprovalGranted', data: granted }, granted.by, administrators);
  if (requested.by.administratorId === granted.by.administratorId) {
    throw new PosternError(
      'administrator.signature_invalid',
      'One administrator has signed the request and its approval.',
    );
  }
}

/** Scopes of no higher risk than what was approved need no approval of their own; hosts do. */
function requireWithin({ granted }: ApprovedAccess, { provider, registration, scopes }: WantedUse): void {
  const hosts = hostsOf(provider, registration.parameters).filter((host) => !granted.hosts.includes(host));
  if (hosts.length > 0) throw required(`${provider.id} is not approved at ${hosts.join(', ')}.`);
  const beyond = scopes.filter(
    (scope) => !granted.scopes.includes(scope) && !harmless.includes(scope) && isBeyond(provider, scope, granted.risk),
  );
  if (beyond.length > 0) throw required(`Of ${provider.id} these scopes are not approved: ${beyond.join(', ')}.`);
}

/** They open nothing, and are in no matrix of a provider that anybody runs. */
const harmless: readonly string[] = ['openid', 'offline_access'];

/** What nobody knows the risk of was approved by name or not at all. */
function isBeyond(provider: Provider, scope: string, agreed: ApprovedAccess['granted']['risk']): boolean {
  const risk = riskOf(provider, scope);
  return risk === 'unknown' || agreed === 'unknown' || isAbove(risk, agreed);
}

function required(why: string): PosternError {
  return new PosternError('approval.required', why);
}
