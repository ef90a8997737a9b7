import { brokenAddresses } from '@postern/provider-client';
import { defineConfig, flag, keyFile, text } from '@postern/service';

/** What `authorization` is told beside what every service is. */
export class AuthorizationConfig extends defineConfig(
  {
    /** Seals what a browser carries between our page and the callback. */
    cookieKey: keyFile(),
    /** Makes the digests by which end users and accounts stand in the log. */
    digestKey: keyFile(),
    /** For the demo and for tests: a provider on this machine, also over plain http. */
    allowLoopbackProviders: flag().default(false),
    /** Addresses and ranges that are no public ones, where a provider found by its metadata may be all the same. */
    allowedProviderAddresses: text().optional(),
  },
  [
    {
      variable: 'POSTERN_ALLOWED_PROVIDER_ADDRESSES',
      broken: ({ allowedProviderAddresses }) => brokenAddresses(allowedProviderAddresses),
    },
  ],
) {}
