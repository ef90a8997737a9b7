import { Injectable } from '@nestjs/common';
import { DeviceCode, operations, PosternError } from '@postern/contracts';
import { CryptoError, sealJwe, zero } from '@postern/crypto';
import { OperationsClient, ServiceKeys, Trust } from '@postern/service';

/** A session, and whose. */
export interface SessionRef {
  readonly tenantId: string;
  readonly connectionId: string;
  readonly sessionId: string;
}

/** The device codes of sessions, which the vault keeps: what is asked about them survives the process that asks. */
@Injectable()
export class DeviceCodes {
  readonly #operations: OperationsClient;
  readonly #trust: Trust;
  readonly #keys: ServiceKeys;

  constructor(operationsClient: OperationsClient, trust: Trust, keys: ServiceKeys) {
    this.#operations = operationsClient;
    this.#trust = trust;
    this.#keys = keys;
  }

  /** @effect the first one that is stored for a session stays. @throws {PosternError} what the vault answers */
  async store(session: SessionRef, deviceCode: DeviceCode): Promise<void> {
    const plaintext = Buffer.from(JSON.stringify(deviceCode), 'utf8');
    try {
      const { tenantId: ten, connectionId: con, sessionId: ses } = session;
      const sealed = sealJwe({
        recipient: this.#trust.recipient('vault'),
        plaintext,
        protectedHeader: { ten, con, ses },
      });
      const request = { ...requestOf(session), sealed_device_code: sealed };
      await this.#operations.call(operations.storeDeviceCode, { app: 'authorization' }, request);
    } finally {
      zero(plaintext);
    }
  }

  /** @throws {PosternError} what the vault answers */
  async of(session: SessionRef): Promise<DeviceCode> {
    const { sealed_device_code: sealed } = await this.#operations.call(
      operations.releaseDeviceCode,
      { app: 'authorization' },
      requestOf(session),
    );
    try {
      const { plaintext } = this.#keys.opener.open(sealed);
      const deviceCode = DeviceCode.parse(JSON.parse(plaintext.toString('utf8')));
      zero(plaintext);
      return deviceCode;
    } catch (error) {
      if (!(error instanceof CryptoError)) throw error;
      throw new PosternError('service.internal', 'The device code was not sealed to this service.');
    }
  }
}

function requestOf({ tenantId, connectionId, sessionId }: SessionRef) {
  return { tenant_id: tenantId, connection_id: connectionId, session_id: sessionId };
}
