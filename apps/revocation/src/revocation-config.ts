import { defineConfig, flag } from '@postern/service';

/** What `revocation` is told beside what every service is. */
export class RevocationConfig extends defineConfig({
  /** For the demo and for tests: a provider on this machine, also over plain http. */
  allowLoopbackProviders: flag().default(false),
}) {}
