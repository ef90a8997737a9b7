import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { AppName } from '@postern/contracts';
import { generateSealingKey, generateSigningKey } from '@postern/crypto';
import { connectBus, identityCreds, provision, type OperatorBundle } from '@postern/nats';
import type { DestinationStream } from 'pino';
import type { Environment } from './config.ts';

/** What the specs of this library start their services in: identities, keys and files of apps. */
export interface SpecWorld {
  envOf(app: AppName, more?: Environment): Record<string, string | undefined>;
  credsFileOf(app: AppName): string;
}

export interface SpecWorldOptions {
  readonly natsUrl: string;
  readonly bundle: OperatorBundle;
  readonly folder: string;
  readonly apps: readonly AppName[];
}

/** Provisions the streams of a server and writes the files of the apps. */
export async function specWorld({ natsUrl, bundle, folder, apps }: SpecWorldOptions): Promise<SpecWorld> {
  const provisioner = { servers: natsUrl, creds: await identityCreds(bundle, 'provisioner') };
  const bus = await connectBus({ ...provisioner, identity: 'provisioner', name: 'spec' });
  await provision(bus);
  await bus.drain();
  const keys = apps.map((app) => [app, { signing: generateSigningKey(), sealing: generateSealingKey() }] as const);
  const trust = {
    writers: Object.fromEntries(keys.map(([app, { signing }]) => [app, [signing.publicJwk]])),
    recipients: Object.fromEntries(keys.map(([app, { sealing }]) => [app, sealing.publicJwk])),
  };
  writeFileSync(join(folder, 'trust.json'), JSON.stringify(trust));
  for (const [app, { signing, sealing }] of keys) {
    mkdirSync(join(folder, app), { recursive: true });
    writeSecret(join(folder, app, 'creds'), await identityCreds(bundle, app));
    writeSecret(join(folder, app, 'signing.json'), JSON.stringify(signing.privateJwk));
    writeSecret(join(folder, app, 'sealing.json'), JSON.stringify(sealing.privateJwk));
  }
  return {
    credsFileOf: (app) => join(folder, app, 'creds'),
    envOf: (app, more = {}) => ({
      POSTERN_NATS_URL: natsUrl,
      POSTERN_NATS_CREDS_FILE: join(folder, app, 'creds'),
      POSTERN_TRUST_FILE: join(folder, 'trust.json'),
      POSTERN_SIGNING_KEY_FILE: join(folder, app, 'signing.json'),
      POSTERN_SEALING_KEY_FILE: join(folder, app, 'sealing.json'),
      POSTERN_LOG_LEVEL: 'debug',
      ...more,
    }),
  };
}

/** Writes a file that only its owner may read. */
export function writeSecret(path: string, content: string): void {
  writeFileSync(path, content);
  chmodSync(path, 0o600);
}

/** Keeps log lines for a spec to look at. */
export class LogRecorder implements DestinationStream {
  readonly lines: string[] = [];

  write(line: string): void {
    this.lines.push(line);
  }

  /** Lines with that sentence. */
  saying(message: string): Record<string, unknown>[] {
    return this.lines.map((line) => JSON.parse(line) as Record<string, unknown>).filter(({ msg }) => msg === message);
  }
}
