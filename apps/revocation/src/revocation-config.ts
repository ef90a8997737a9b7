import { defineConfig, flag, keyFile, secretFile } from '@postern/service';

/** What `revocation` is told beside what every service is. */
export class RevocationConfig extends defineConfig({
  /** `postgresql://…` of its own role. */
  databaseUrl: secretFile(),
  /** The one with which `authorization` made the digests by which accounts stand in the log. */
  digestKey: keyFile(),
  /** For the demo and for tests: a provider on this machine, also over plain http. */
  allowLoopbackProviders: flag().default(false),
}) {}
