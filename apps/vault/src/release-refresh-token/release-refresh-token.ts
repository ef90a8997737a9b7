import { Injectable, type OnApplicationShutdown } from '@nestjs/common';
import { operations, PosternError, type ReplyOf, type RequestOf } from '@postern/contracts';
import { Sealer, zero } from '@postern/crypto';
import { claimReleased, interruptedClaims, isClaimLive, releaseRefreshToken, type Connection } from '@postern/domain';
import type { Call } from '@postern/nats';
import { callingApp, Clock, commitOrigin, crashPoint, Serves, Trust } from '@postern/service';

import { Connections, ownerOf } from '../connections.ts';
import { Credentials } from '../credentials.ts';
import { Directory } from '../directory.ts';
import { ExchangeTokens } from '../exchange/exchange-tokens.ts';
import type { RefreshPart } from '../sealed-token-set.ts';
import { GrantAssertions, isAsserted } from '../sign-assertion/grant-assertions.ts';

type Request = RequestOf<typeof operations.releaseRefreshToken>;
type Reply = ReplyOf<typeof operations.releaseRefreshToken>;

/**
 * Gives the refresh token to the worker whose claim is live in the log, after saying so in the log.
 *
 * The append is the fence: it is refused when anything was written since the claim was read, so what ended the claim
 * came either before it (nothing is sealed) or after it (the log says that the token may be out). Where the claim is asked
 * for with it, both stand in one commit, and the same holds for whoever claims.
 */
@Injectable()
export class ReleaseRefreshToken implements OnApplicationShutdown {
  readonly #sealer = new Sealer();

  constructor(
    private readonly trust: Trust,
    private readonly clock: Clock,
    private readonly connections: Connections,
    private readonly credentials: Credentials,
    private readonly tokens: ExchangeTokens,
    private readonly directory: Directory,
    private readonly assertions: GrantAssertions,
  ) {}

  @Serves(operations.releaseRefreshToken)
  async release(request: Request, call: Call): Promise<Reply> {
    const app = callingApp(call, ['refresh']);
    const { tenant_id: tenantId, connection_id: connectionId, claim_id: claimId, claim } = request;
    const recipient = this.trust.recipient(app);
    const { state, position } = await this.connections.execute(
      { tenantId, id: connectionId },
      (current, { nowMs }) => {
        requireExisting(current);
        if (claim === undefined) return releaseRefreshToken({ claimId, nowMs }, current);
        const { credential_version: credentialVersion, timeout_ms: claimTimeoutMs } = claim;
        return claimReleased({ claimId, claimTimeoutMs, credentialVersion, nowMs }, current);
      },
      { actor: { type: 'service', id: 'vault' }, ...commitOrigin(), causationId: claimId },
    );
    crashPoint('after it wrote the release', connectionId);
    // The append may have taken longer than the claim had left.
    if (state.credential === null || !isClaimLive(state, this.clock.nowMs())) {
      throw new PosternError('refresh.claim_lost', 'The claim is not live.');
    }
    const { version } = state.credential;
    // After the append, so that nothing of a late worker is overlooked that was here before the token leaves.
    const part = await this.credentials.openForSpending(ownerOf(state), version, interruptedClaims(state));
    if (part === undefined) throw new PosternError('refresh.not_possible', 'The credential has no refresh token.');
    const shown = { ...(await this.#exchange(part, state, call)), ...(await this.#signed(state, part)) };
    const plaintext = Buffer.from(JSON.stringify({ ...part, ...shown }), 'utf8');
    const protectedHeader = { cty: 'application/json', con: connectionId, clm: claimId, ver: version };
    const sealed = this.#sealer.seal({ scope: tenantId, recipient, plaintext, protectedHeader });
    zero(plaintext);
    return { sealed_refresh_token: sealed, credential_version: version, position };
  }

  /**
   * What is renewed by exchange needs its subject's token, too, and no worker ever leases that.
   *
   * One that has ended is not waited for: the claim would be over meanwhile. It is asked for, and the next try finds it.
   */
  async #exchange({ renewal }: RefreshPart, derived: Connection, { correlationId }: Call) {
    if (renewal?.grant !== 'token_exchange' && renewal?.grant !== 'identity_assertion') return {};
    const delegation = derived.credential?.delegation;
    if (delegation === undefined) throw new PosternError('refresh.not_possible', 'The log names no subject.');
    const { subject } = renewal;
    const asked = { derived, delegation, subject, app: 'refresh', correlationId, waits: false } as const;
    if (renewal.grant === 'identity_assertion') return { identity: await this.tokens.openIdentity(asked) };
    return { exchange: await this.tokens.open({ ...asked, actor: renewal.actor }) };
  }

  /** Where it is asked for with something that the registration's key signs, that goes along. */
  async #signed({ tenantId, registrationId }: Connection, { renewal }: RefreshPart): Promise<{ assertion?: string }> {
    if (renewal === undefined || !isAsserted(renewal)) return {};
    const registration = await this.directory.registrationFor('refresh', { tenantId, registrationId });
    const { assertion } = await this.assertions.sign(registration, renewal);
    return { assertion };
  }

  onApplicationShutdown(): void {
    this.#sealer.clear();
  }
}

function requireExisting({ authorization }: Connection): void {
  if (authorization === 'none') throw new PosternError('connection.not_found', 'There is no such connection.');
}
