import { brokenAddresses } from '@postern/provider-client';
import { defineConfig, flag, keyFile, secretFile, text } from '@postern/service';

/** What `revocation` is told beside what every service is. */
export class RevocationConfig extends defineConfig(
  {
    /** `postgresql://…` of its own role. */
    databaseUrl: secretFile(),
    /** The one with which `authorization` made the digests by which accounts stand in the log. */
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
