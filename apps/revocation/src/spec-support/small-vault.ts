import { operations, PosternError } from '@postern/contracts';
import { sealJwe } from '@postern/crypto';
import { inspectableToken, shredKey, startInspection } from '@postern/domain';
import { endpoint, serveOperations, type Endpoint, type ServedOperations } from '@postern/nats';

import type { World } from './world.ts';

export interface HeldTokens {
  readonly accessToken: string;
  readonly refreshToken: string | null;
  readonly accessTokenExpiresAtMs?: number | null;
}

/**
 * The vault as `revocation` sees it over the bus. It confirms when it is let, and releases whatever it is asked for, so
 * that nothing but the guards of `revocation` stand in these specifications.
 */
export class SmallVault {
  readonly instance: string;
  /** By connection id. */
  readonly tokens = new Map<string, HeldTokens>();
  /** By registration id. */
  readonly clientSecrets = new Map<string, string>();
  /** By registration id, oldest first. */
  readonly webhookSecrets = new Map<string, string[]>();
  /** What happened here, in order. */
  readonly seen: string[] = [];
  /** What it makes of a question to confirm. */
  confirming: 'at once' | 'when let' | 'never' | 'refuses' = 'at once';
  /** What it throws at every release, and at every shredding, if anything. */
  releaseFault: PosternError | undefined;
  shredFault: PosternError | undefined;
  /** What happens before a suspected token is released. */
  beforeToken: ((connectionId: string) => Promise<void>) | undefined;
  /** What happens before a client secret is released. */
  beforeSecret: (() => Promise<void>) | undefined;
  readonly #world: World;
  #gate = Promise.withResolvers<void>();
  #served: ServedOperations | undefined;

  constructor(world: World, instance: string) {
    this.#world = world;
    this.instance = instance;
  }

  async start(): Promise<this> {
    const bus = await this.#world.bus('vault');
    const endpoints = [
      this.#confirms(),
      this.#releasesTokens(),
      this.#releasesSuspectedTokens(),
      this.#releasesForInspection(),
      this.#releasesSecrets(),
      this.#releasesWebhookSecrets(),
      this.#shreds(),
    ];
    const metadata = { instance: this.instance };
    this.#served = await serveOperations(bus, { name: 'vault', version: '0.0.1', endpoints, metadata });
    return this;
  }

  /** Lets those who wait have their confirmation. */
  let(): void {
    this.seen.push('let');
    this.#gate.resolve();
    this.#gate = Promise.withResolvers<void>();
  }

  async stop(): Promise<void> {
    this.#gate.reject(new PosternError('bus.unavailable', 'The vault was stopped.'));
    this.#gate.promise.catch(() => undefined);
    await this.#served?.stop();
    this.#served = undefined;
  }

  #confirms(): Endpoint {
    return endpoint(operations.confirmPosition, async ({ position }) => {
      this.seen.push('asked to confirm');
      if (this.confirming === 'refuses') throw new PosternError('bus.timeout', 'Not yet.');
      if (this.confirming !== 'at once') await this.#gate.promise;
      return { instance: this.instance, position };
    });
  }

  #releasesTokens(): Endpoint {
    return endpoint(operations.releaseForRevocation, async ({ connection_id: connectionId }) => {
      this.seen.push(`asked for tokens of ${connectionId}`);
      if (this.releaseFault !== undefined) throw this.releaseFault;
      const held = this.tokens.get(connectionId);
      if (held === undefined) return { found: false, sealed_tokens: null, credential_version: 1 };
      return {
        found: true,
        sealed_tokens: this.#sealed(JSON.stringify({ accessTokenExpiresAtMs: null, grantedScopes: [], ...held })),
        credential_version: 1,
      };
    });
  }

  #releasesSuspectedTokens(): Endpoint {
    return endpoint(operations.releaseSuspectedToken, async ({ connection_id: connectionId, kind }) => {
      this.seen.push(`asked for the ${kind} of ${connectionId}`);
      await this.beforeToken?.(connectionId);
      const held = this.tokens.get(connectionId);
      const token = kind === 'access_token' ? held?.accessToken : held?.refreshToken;
      return { sealed_token: typeof token === 'string' ? this.#sealed(token) : null, credential_version: 1 };
    });
  }

  /** In the log it stands as the true vault writes it: by the budget of the domain. */
  #releasesForInspection(): Endpoint {
    return endpoint(operations.releaseForInspection, async ({ tenant_id: tenantId, connection_id: connectionId }) => {
      this.seen.push(`asked to inspect ${connectionId}`);
      const connections = await this.#world.connections('vault');
      const { state, appended } = await connections.execute(
        { tenantId, id: connectionId },
        (current) => startInspection({ nowMs: Date.now() }, current),
        { actor: { type: 'service', id: 'vault' }, correlationId: 'cor', fromLeader: true },
      );
      if (!appended) throw new PosternError('auth.forbidden', 'No inspection of this credential is due.');
      const held = this.tokens.get(connectionId);
      const kind = state.credential === null ? null : inspectableToken(state.credential);
      const token = (kind === 'access_token' ? held?.accessToken : held?.refreshToken) ?? null;
      return { sealed_token: token === null ? null : this.#sealed(token), credential_version: 1 };
    });
  }

  #releasesSecrets(): Endpoint {
    return endpoint(operations.releaseClientSecret, async ({ registration_id: registrationId }) => {
      this.seen.push('asked for a client secret');
      await this.beforeSecret?.();
      const secret = this.clientSecrets.get(registrationId) ?? 'unknown';
      return { sealed_secret: this.#sealed(secret), secret_version: 1 };
    });
  }

  #releasesWebhookSecrets(): Endpoint {
    return endpoint(operations.releaseWebhookSecrets, async ({ registration_id: registrationId }) => {
      this.seen.push('asked for webhook secrets');
      if (this.releaseFault !== undefined) throw this.releaseFault;
      const held = this.webhookSecrets.get(registrationId) ?? [];
      return {
        secrets: held.map((secret, index) => ({ sealed_secret: this.#sealed(secret), secret_version: index + 1 })),
      };
    });
  }

  #shreds(): Endpoint {
    return endpoint(operations.shredConnectionKey, async ({ tenant_id: tenantId, connection_id: connectionId }) => {
      this.seen.push('asked to shred');
      if (this.shredFault !== undefined) throw this.shredFault;
      const connections = await this.#world.connections('vault');
      const { position } = await connections.execute({ tenantId, id: connectionId }, (state) => shredKey({}, state), {
        actor: { type: 'service', id: 'vault' },
        correlationId: 'cor',
        fromLeader: true,
      });
      return { position };
    });
  }

  #sealed(text: string): string {
    return sealJwe({ recipient: this.#world.vaultRecipient, plaintext: Buffer.from(text, 'utf8') });
  }
}
