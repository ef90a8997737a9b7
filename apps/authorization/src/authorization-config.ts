import { defineConfig, flag, keyFile } from '@postern/service';

/** What `authorization` is told beside what every service is. */
export class AuthorizationConfig extends defineConfig({
  /** Seals what a browser carries between our page and the callback. */
  cookieKey: keyFile(),
  /** Makes the digests by which end users and accounts stand in the log. */
  digestKey: keyFile(),
  /** For the demo and for tests: a provider on this machine, also over plain http. */
  allowLoopbackProviders: flag().default(false),
}) {}
