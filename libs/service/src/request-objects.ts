import { Injectable } from '@nestjs/common';
import { operations, type AppName } from '@postern/contracts';

import { OperationsClient } from './operations-client.ts';
import { ServiceIdentity } from './service-identity.ts';

/**
 * Authorization requests signed with the keys of registrations, from the vault, which alone has the keys.
 *
 * @source RFC 9101 §4
 */
@Injectable()
export class RequestObjects {
  readonly #app: AppName;
  readonly #operations: OperationsClient;

  constructor({ app }: ServiceIdentity, operationsClient: OperationsClient) {
    this.#app = app;
    this.#operations = operationsClient;
  }

  /** What signs for one registration; it throws what the vault answers. */
  of({ tenantId, registrationId }: { readonly tenantId: string; readonly registrationId: string }) {
    return async (parameters: Readonly<Record<string, string>>): Promise<string> => {
      const request = { tenant_id: tenantId, registration_id: registrationId, parameters: { ...parameters } };
      const reply = await this.#operations.call(operations.signRequestObject, { app: this.#app }, request);
      return reply.request_object;
    };
  }
}
