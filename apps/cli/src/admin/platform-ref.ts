/** A platform's NATS user lives this long; `platforms rotate` gives a new one and ends the old. */
export const platformCredsTtlMs = 365 * 86_400_000;

export interface PlatformRef {
  readonly tenantId: string;
  readonly platformId: string;
}
