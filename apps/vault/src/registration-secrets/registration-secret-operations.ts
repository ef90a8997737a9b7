import { Injectable } from '@nestjs/common';
import {
  limits,
  operations,
  PosternError,
  registrationSecretRights,
  type ReplyOf,
  type RequestOf,
} from '@postern/contracts';
import {
  generateJwtKey,
  jwtSigner,
  parseJwtKey,
  parseTlsCertificate,
  sealJwe,
  zero,
  type TlsCertificateFacts,
} from '@postern/crypto';
import type { Call } from '@postern/nats';
import { callingApp, Clock, Serves, ServiceKeys, Trust } from '@postern/service';

import { Directory } from '../directory.ts';
import { openSealed } from '../sealed-token-set.ts';
import { RegistrationSecrets } from './registration-secrets.ts';

const secretBytesMax = 4_096;

type Stored = ReplyOf<typeof operations.storeClientSecret>;
type KeyStored = ReplyOf<typeof operations.makePrivateKey>;
type StoreRequest = RequestOf<typeof operations.storeClientSecret>;

/**
 * Takes the secrets of a client registration from the administrator, and seals them to the app that must have them. Of
 * a private key that signs nothing ever leaves but its public part; that of a client certificate goes with it, since TLS
 * needs it in the handshake itself.
 */
@Injectable()
export class RegistrationSecretOperations {
  constructor(
    private readonly keys: ServiceKeys,
    private readonly trust: Trust,
    private readonly directory: Directory,
    private readonly secrets: RegistrationSecrets,
    private readonly clock: Clock,
  ) {}

  @Serves(operations.storeClientSecret)
  async storeClientSecret(request: StoreRequest, call: Call): Promise<Stored> {
    return await this.#store(request, { call, kind: 'client_secret' });
  }

  @Serves(operations.storeWebhookSecret)
  async storeWebhookSecret(request: StoreRequest, call: Call): Promise<Stored> {
    return await this.#store(request, { call, kind: 'webhook_secret' });
  }

  @Serves(operations.makePrivateKey)
  async makePrivateKey(request: RequestOf<typeof operations.makePrivateKey>, call: Call): Promise<KeyStored> {
    callingApp(call, ['administrator']);
    return await this.#storeKey(request, generateJwtKey(request.algorithm));
  }

  @Serves(operations.importPrivateKey)
  async importPrivateKey(request: RequestOf<typeof operations.importPrivateKey>, call: Call): Promise<KeyStored> {
    callingApp(call, ['administrator']);
    return await this.#storeKey(request, openSealed(this.keys.opener, request.sealed_key, parsedKey));
  }

  @Serves(operations.releaseClientSecret)
  async releaseClientSecret(
    request: RequestOf<typeof operations.releaseClientSecret>,
    call: Call,
  ): Promise<ReplyOf<typeof operations.releaseClientSecret>> {
    const { sealed, version } = await this.#release(request, { call, kind: 'client_secret', cty: 'text/plain' });
    return { sealed_secret: sealed, secret_version: version };
  }

  @Serves(operations.storeTlsCertificate)
  async storeTlsCertificate(
    request: RequestOf<typeof operations.storeTlsCertificate>,
    call: Call,
  ): Promise<ReplyOf<typeof operations.storeTlsCertificate>> {
    callingApp(call, ['administrator']);
    const registration = await this.directory.registration(request.tenant_id, request.registration_id);
    const { pem, facts } = openSealed(this.keys.opener, request.sealed_certificate, parsedCertificate);
    try {
      assertInForce(facts, this.clock.nowMs());
      return {
        secret_version: await this.secrets.store(registration, 'tls_certificate', pem),
        certificate: { x5t_s256: facts.x5tS256, not_after: new Date(facts.notAfterMs).toISOString() },
      };
    } finally {
      zero(pem);
    }
  }

  @Serves(operations.releaseTlsCertificate)
  async releaseTlsCertificate(
    request: RequestOf<typeof operations.releaseTlsCertificate>,
    call: Call,
  ): Promise<ReplyOf<typeof operations.releaseTlsCertificate>> {
    const kind = 'tls_certificate';
    const { sealed, version } = await this.#release(request, { call, kind, cty: 'application/pem-certificate-chain' });
    return { sealed_certificate: sealed, secret_version: version };
  }

  @Serves(operations.releaseWebhookSecrets)
  async releaseWebhookSecrets(
    request: RequestOf<typeof operations.releaseWebhookSecrets>,
    call: Call,
  ): Promise<ReplyOf<typeof operations.releaseWebhookSecrets>> {
    const app = callingApp(call, registrationSecretRights.webhook_secret.releasedTo);
    const recipient = this.trust.recipient(app);
    const { tenant_id: tenantId, registration_id: registrationId } = request;
    const registration = await this.directory.registrationFor(app, { tenantId, registrationId });
    const opened = await this.secrets.openAll(registration, 'webhook_secret');
    try {
      return {
        secrets: opened.map(({ secret, version }) => {
          const protectedHeader = { cty: 'application/octet-stream', reg: registrationId, ver: version };
          return { sealed_secret: sealJwe({ recipient, plaintext: secret, protectedHeader }), secret_version: version };
        }),
      };
    } finally {
      for (const { secret } of opened) zero(secret);
    }
  }

  @Serves(operations.deleteEndedSecrets)
  async deleteEndedSecrets(
    request: RequestOf<typeof operations.deleteEndedSecrets>,
    call: Call,
  ): Promise<ReplyOf<typeof operations.deleteEndedSecrets>> {
    callingApp(call, ['administrator']);
    const registration = await this.directory.registration(request.tenant_id, request.registration_id);
    return { deleted: await this.secrets.deleteEnded(registration, request.kind) };
  }

  async #release(
    {
      tenant_id: tenantId,
      registration_id: registrationId,
      refused_version: refusedVersion,
    }: RequestOf<typeof operations.releaseClientSecret>,
    { call, kind, cty }: { call: Call; kind: 'client_secret' | 'tls_certificate'; cty: string },
  ): Promise<{ sealed: string; version: number }> {
    const app = callingApp(call, registrationSecretRights[kind].releasedTo);
    const recipient = this.trust.recipient(app);
    const registration = await this.directory.registrationFor(app, { tenantId, registrationId });
    const { secret, version } = await this.secrets.open(registration, { kind, refusedVersion });
    try {
      const protectedHeader = { cty, reg: registrationId, ver: version };
      return { sealed: sealJwe({ recipient, plaintext: secret, protectedHeader }), version };
    } finally {
      zero(secret);
    }
  }

  async #store(
    request: StoreRequest,
    { call, kind }: { call: Call; kind: 'client_secret' | 'webhook_secret' },
  ): Promise<Stored> {
    callingApp(call, ['administrator']);
    const registration = await this.directory.registration(request.tenant_id, request.registration_id);
    const secret = openSealed(this.keys.opener, request.sealed_secret, (plaintext) => Buffer.from(plaintext));
    try {
      if (secret.length === 0 || secret.length > secretBytesMax) {
        throw new PosternError('request.malformed', `A secret has 1 to ${secretBytesMax} bytes.`);
      }
      return { secret_version: await this.secrets.store(registration, kind, secret) };
    } finally {
      zero(secret);
    }
  }

  async #storeKey(
    { tenant_id: tenantId, registration_id: registrationId }: { tenant_id: string; registration_id: string },
    pkcs8: Buffer,
  ): Promise<KeyStored> {
    try {
      const registration = await this.directory.registration(tenantId, registrationId);
      const version = await this.secrets.store(registration, 'private_key', pkcs8);
      return { secret_version: version, public_jwk: { ...jwtSigner(pkcs8).publicJwk } };
    } finally {
      zero(pkcs8);
    }
  }
}

function parsedKey(plaintext: Buffer): Buffer {
  return parseJwtKey(plaintext.toString('utf8'));
}

function parsedCertificate(plaintext: Buffer): { pem: Buffer; facts: TlsCertificateFacts } {
  const { pem, facts } = parseTlsCertificate(plaintext.toString('utf8'));
  return { pem: Buffer.from(pem), facts };
}

/** One that no server would take is not stored. */
function assertInForce({ notBeforeMs, notAfterMs }: TlsCertificateFacts, nowMs: number): void {
  if (nowMs < notAfterMs && nowMs >= notBeforeMs - limits.clockSkewMsMax) return;
  throw new PosternError('request.malformed', 'The certificate has expired, or is not in force yet: give another one.');
}
