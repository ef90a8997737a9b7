import {
  asyncApiDocument,
  errorTable,
  eventDefinitions,
  identityNames,
  identityPermissions,
  jsonSchemaOf,
  openApiDocument,
  platformPermissions,
} from '@postern/contracts';

const version = '0.1.0';
const json = (value: unknown) => `${JSON.stringify(value, null, 2)}\n`;
const cell = (text: string) => text.replaceAll('|', '\\|');

function errors(): string {
  const rows = Object.entries(errorTable).map(
    ([code, { status, title, advice, retry, delivery, oauthError }]) =>
      `| \`${code}\` | ${status} | ${cell(title)} | ${retry} | ${delivery} | ${oauthError ?? ''} | ${cell(advice)} |`,
  );
  const head =
    '| code | HTTP | title | retry | message | OAuth error | what to do |\n| --- | --- | --- | --- | --- | --- | --- |';
  return `# Errors\n\nGenerated from \`libs/contracts/src/errors.ts\` by \`npm run docs\`. Codes are never renamed.\n\n${head}\n${rows.join('\n')}\n`;
}

function events(): string {
  const parts = [...eventDefinitions.values()].map(({ type, version: newest, aggregate, writers, summary, data }) => {
    const fields = Object.keys((jsonSchemaOf(data, 'output')['properties'] ?? {}) as object);
    const named = fields.length === 0 ? 'no data' : fields.map((field) => `\`${field}\``).join(', ');
    return `| \`${type}\` | ${newest} | ${aggregate} | ${writers.join(', ')} | ${cell(summary)} | ${named} |`;
  });
  const head = '| event | version | aggregate | writer | what happened | data |\n| --- | --- | --- | --- | --- | --- |';
  return `# Events\n\nGenerated from \`libs/contracts\` by \`npm run docs\`. Golden files of each stand in \`libs/domain/golden\`.\n\n${head}\n${parts.join('\n')}\n`;
}

function permissions(): string {
  const list = (subjects: readonly string[]) => subjects.map((subject) => `- \`${subject}\``).join('\n');
  const sections = identityNames.map((identity) => {
    const { publish, subscribe, denyPublish = [] } = identityPermissions(identity);
    const never =
      denyPublish.length === 0 ? '' : `\n\nnever, though a wildcard above covers it\n\n${list(denyPublish)}`;
    return `## ${identity}\n\npublish\n\n${list(publish)}${never}\n\nsubscribe\n\n${list(subscribe)}`;
  });
  const platform = platformPermissions({ tenantId: 'TENANT', platformId: 'PLATFORM' });
  sections.push(`## a platform\n\npublish\n\n${list(platform.publish)}\n\nsubscribe\n\n${list(platform.subscribe)}`);
  return `# Permissions on the bus\n\nGenerated from \`libs/contracts/src/permissions.ts\` by \`npm run docs\`. What is not listed is refused by the server.\n\n${sections.join('\n\n')}\n`;
}

/** Every generated document by its file name below docs/reference/. */
export function referenceDocuments(): Readonly<Record<string, string>> {
  return {
    'openapi.json': json(openApiDocument(version)),
    'asyncapi.json': json(asyncApiDocument(version)),
    'errors.md': errors(),
    'events.md': events(),
    'permissions.md': permissions(),
  };
}
