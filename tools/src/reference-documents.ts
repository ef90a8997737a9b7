import {
  asyncApiDocument,
  errorTable,
  eventDefinitions,
  identityNames,
  identityPermissions,
  jsonSchemaOf,
  metricCatalog,
  openApiDocument,
  bridgePermissions,
  platformPermissions,
  prometheusLabel,
  prometheusName,
  type MetricName,
} from '@postern/contracts';
import { generalAnswers, loadCatalog, providerJsonSchema, type AnswerRow } from '@postern/provider-catalog';

import { conformanceDocument } from './conformance/conformance.ts';

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
  const bridge = bridgePermissions({ bridgeId: 'BRIDGE', registrationIds: ['REGISTRATION'] });
  sections.push(`## a bridge\n\npublish\n\n${list(bridge.publish)}\n\nsubscribe\n\n${list(bridge.subscribe)}`);
  return `# Permissions on the bus\n\nGenerated from \`libs/contracts/src/permissions.ts\` by \`npm run docs\`. What is not listed is refused by the server.\n\n${sections.join('\n\n')}\n`;
}

function metrics(): string {
  const rows = Object.entries(metricCatalog).map(([name, { type, unit, help, attributes = [] }]) => {
    const labels = attributes.map((attribute) => `\`${prometheusLabel(attribute)}\``).join(', ');
    const prometheus = prometheusName(name as MetricName);
    return `| \`${prometheus}\` | \`${name}\` | ${type} | ${unit} | ${labels} | ${cell(help)} |`;
  });
  const head =
    '| at /metrics | over OTLP | type | unit | labels | what it tells |\n| --- | --- | --- | --- | --- | --- |';
  const intro = `Generated from \`libs/contracts/src/metric-catalog.ts\` by \`npm run docs\`. A service tells nothing else, and each tells those of its own work. A histogram has \`_bucket\`, \`_sum\` and \`_count\` at /metrics. A label without a dot is \`postern.…\` over OTLP.`;
  return `# Metrics\n\n${intro}\n\n${head}\n${rows.join('\n')}\n`;
}

const answersHead = '| HTTP | where | words | means | spent? | why |\n| --- | --- | --- | --- | --- | --- |';

function answerRow({ httpStatus: [first, last], member, words, match, means, mayBeSpent, why }: AnswerRow): string {
  const status = first === last ? `${first}` : `${first}–${last}`;
  const where = member === null ? '' : `\`${member}\`${match === 'contains' ? ' contains' : ''}`;
  const said = words.map((word) => `\`${cell(word)}\``).join(', ');
  return `| ${status} | ${where} | ${said} | ${means} | ${mayBeSpent ? 'perhaps' : 'no'} | ${cell(why)} |`;
}

function providerAnswers(): string {
  const intro = `# What token endpoints answer

Generated from the provider files of \`libs/provider-catalog\` by \`npm run docs\`. An answer without tokens is weighed by the
provider's own rows, then by the general rule; the first row that fits decides.

- \`rejected\`: the code or refresh token is dead; only the end user can help.
- \`ours_to_mend\`: our client or its configuration; an operator is alarmed, and no end user is asked for anything.
- \`passes\`: trouble that says nothing of either; tried again. "Spent?" says whether a one-time token may count as spent.`;
  const own = [...loadCatalog().values()]
    .filter(({ answers }) => answers.length > 0)
    .map(({ name, answers }) => `## ${name}\n\n${answersHead}\n${answers.map(answerRow).join('\n')}`);
  const general = `## The general rule\n\n${answersHead}\n${generalAnswers.map(answerRow).join('\n')}`;
  return `${[intro, general, ...own].join('\n\n')}\n`;
}

/** Every generated document by its file name below docs/reference/. */
export function referenceDocuments(): Readonly<Record<string, string>> {
  return {
    'openapi.json': json(openApiDocument(version)),
    'conformance.md': conformanceDocument(),
    'asyncapi.json': json(asyncApiDocument(version)),
    'errors.md': errors(),
    'events.md': events(),
    'metrics.md': metrics(),
    'permissions.md': permissions(),
    'provider-answers.md': providerAnswers(),
    'provider.schema.json': json(providerJsonSchema()),
  };
}
