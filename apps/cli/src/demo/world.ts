import { rm } from 'node:fs/promises';
import { join } from 'node:path';

import { newId } from '@postern/contracts';
import { Secret } from '@postern/crypto';
import { temporaryDataDir } from '@postern/servers';
import {
  acmeAccounts,
  acmeLoginAndConsent,
  ScriptedBrowser,
  startAcmeProcess,
  startPlatformSite,
  type AcmeAccount,
  type AcmeProcess,
  type PlatformSite,
} from '@postern/testing';

import { createClientRegistration, redirectUriOf, storeSecret } from '../admin/registrations.ts';
import { dataFolder, type DataFolder } from '../data-folder/paths.ts';
import { openSession, type Session } from '../session/session.ts';
import { startStack, type Stack, type StackOptions } from '../up/stack.ts';
import { PlatformHttp, type Listener, type PlatformOnBus } from './platform-client.ts';

/** Long enough to be leased in peace and refreshed ahead of its end, short enough to be waited for. */
export const accessTokenTtlS = 12;
export const endUser = 'user-4711';
export const scopes = ['openid', 'offline_access', 'contacts:read'];

/** Everything the story happens in: Postern as processes, Acme as a process, a platform's site, a person's browser. */
export interface World {
  readonly stack: Stack;
  readonly session: Session;
  readonly tenantId: string;
  readonly acme: AcmeProcess;
  readonly acmeClientId: string;
  readonly acmeClientSecret: Secret;
  readonly registrationId: string;
  readonly site: PlatformSite;
  readonly browser: ScriptedBrowser;
  readonly http: PlatformHttp;
  readonly dataRoot: string;
  // What the steps find out on their way.
  platform: PlatformOnBus | undefined;
  platformSecret: Secret | undefined;
  listener: Listener | undefined;
  agentId: string;
  connectionId: string;
  reauthorizeUrl: string;
  /** Grace's, at the same Acme. */
  otherConnectionId: string;
  /** What the vault promised with the lease over HTTP. */
  leaseReceipt: string;
}

/** What may differ from world to world. */
export interface WorldOptions extends Pick<StackOptions, 'storeRoomBytesMin' | 'keyring' | 'publicUrl'> {
  /** Changes the data folder before anything is in it. @returns takes that back, when nothing runs there any more. */
  readonly prepare?: (folder: DataFolder) => () => Promise<void>;
}

/** Starts the world of the story on a data folder of its own, which is gone afterwards. */
export async function withWorld<T>(
  onProgress: (sentence: string) => void,
  story: (world: World) => Promise<T>,
  { prepare, ...stackOptions }: WorldOptions = {},
): Promise<T> {
  const dataRoot = temporaryDataDir('postern-demo-');
  const closers: (() => Promise<unknown>)[] = [() => rm(dataRoot, { recursive: true, force: true })];
  const closing = <R>(resource: R, close: (resource: R) => Promise<unknown>): R => (
    closers.push(() => close(resource)),
    resource
  );
  // The story's provider is a process on this machine, reached without TLS.
  process.env['POSTERN_ALLOW_LOOPBACK_PROVIDERS'] = 'true';
  try {
    const folder = await dataFolder(join(dataRoot, 'data'));
    if (prepare !== undefined) closers.push(prepare(folder));
    const [stack, acme, site] = await Promise.all([
      startStack({ ...stackOptions, folder, host: '127.0.0.1', port: 0, onProgress }).then((it) =>
        closing(it, (one) => one.stop()),
      ),
      startAcmeProcess({ accessTokenTtlS }).then((it) => closing(it, (one) => one.close())),
      startPlatformSite().then((it) => closing(it, (one) => one.close())),
    ]);
    const session = closing(await openSession(folder), (one) => one.close());
    const { tenantId } = stack;
    const { registrationId, clientId, clientSecret } = await registerAtAcme(session, tenantId, acme);
    const world: World = {
      stack,
      session,
      tenantId,
      acme,
      acmeClientId: clientId,
      acmeClientSecret: clientSecret,
      registrationId,
      site,
      dataRoot,
      ...{
        browser: new ScriptedBrowser(),
        http: new PlatformHttp(stack.localUrl),
      },
      ...{
        platform: undefined,
        platformSecret: undefined,
        listener: undefined,
        agentId: '',
        connectionId: '',
        reauthorizeUrl: '',
        otherConnectionId: '',
        leaseReceipt: '',
      },
    };
    closers.push(() => world.listener?.close() ?? Promise.resolve());
    return await story(world);
  } finally {
    for (const close of closers.toReversed()) await close();
  }
}

async function registerAtAcme(session: Session, tenantId: string, acme: AcmeProcess) {
  const registrationId = newId('registration');
  const { clientId, clientSecret } = await acme.registerClient({
    redirectUris: [redirectUriOf(session, registrationId)],
    clientName: 'Postern demo',
    tokenEndpointAuthMethod: 'client_secret_basic',
    clientCredentials: true,
    tokenExchange: true,
    deviceFlow: true,
  });
  await createClientRegistration(session, {
    tenantId,
    registrationId,
    providerId: 'openid-connect',
    displayName: 'Acme CRM',
    clientId,
    ...{
      tokenEndpointAuthMethod: 'client_secret_basic',
      parameters: { issuer: acme.issuer },
      scopes,
    },
  });
  const secret = Secret.from(clientSecret ?? '');
  await storeSecret(session, { tenantId, registrationId, kind: 'client_secret', secret });
  return { registrationId, clientId, clientSecret: secret };
}

/** Somebody, Ada unless it is said, goes through our page and Acme's; the code brought back is what the platform completes with. */
export async function goThroughConnect(
  world: World,
  connectUrl: string,
  { browser, account }: { browser: ScriptedBrowser; account: AcmeAccount } = {
    browser: world.browser,
    account: acmeAccounts.ada,
  },
): Promise<{ sessionId: string; code: string }> {
  const back = await acmeLoginAndConsent(browser, connectUrl, {
    user: account.email,
    password: account.password,
    decision: 'allow',
    returnUrl: world.site.returnUrl,
  });
  const code = back.searchParams.get('code');
  const sessionId = back.searchParams.get('session_id');
  if (code === null || sessionId === null) throw new Error(`the browser came back without a code: ${back.search}`);
  return { sessionId, code };
}
