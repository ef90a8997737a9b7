import { z } from 'zod';

/** The services, one per kind of trust (docs/architecture.md). */
export const appNames = ['gateway', 'authorization', 'vault', 'refresh', 'revocation', 'audit', 'notifier'] as const;
export const AppName = z.enum(appNames);
export type AppName = z.infer<typeof AppName>;

/**
 * Identities on the bus inside the CORE account: each service, the provisioner (who alone may change streams, at
 * deploy time) and the administrator (the `postern` command on an operator's machine).
 */
export const identityNames = [...appNames, 'provisioner', 'administrator'] as const;
export const IdentityName = z.enum(identityNames);
export type IdentityName = z.infer<typeof IdentityName>;
