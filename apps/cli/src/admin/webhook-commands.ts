import { randomBytes } from 'node:crypto';

import {
  DeliveredType,
  deliveredTypes,
  limits,
  newId,
  operations,
  PosternError,
  Timestamp,
  timestampOf,
  WebhookDeliveryStatus,
  WebhookUrl,
  type WebhookAttempt,
  type WebhookDelivery,
} from '@postern/contracts';
import { createWebhook, disableWebhook, storeWebhookSecret, webhookEvolver } from '@postern/domain';
import type { Command } from 'commander';

import { exitCodes } from '../output/exit-code.ts';
import { table } from '../output/printer.ts';
import { createProgress } from '../output/progress.ts';
import type { RunCommand, SessionRun } from '../run-command.ts';
import type { Session } from '../session/session.ts';
import { decideAdmin } from './decide.ts';
import { sealedToVault } from './sealed-to-vault.ts';
import { factLines, gather, list, overlapMsOf, show, text } from './shown.ts';

const secretBytes = 32;

/** `postern webhooks …`: where tenants hear of their connections, and what they heard. */
export function webhookCommands(webhooks: Command, run: RunCommand): void {
  webhooks
    .command('create')
    .description('an endpoint for Standard Webhooks; shows the secret that deliveries are signed with, once')
    .requiredOption('--name <name>')
    .requiredOption('--url <url>', 'https, public unless notifier was told otherwise')
    .option(
      '--type <type>',
      `hears this and what else is named, everything when absent: ${deliveredTypes.join(', ')}`,
      gather,
      [],
    )
    .action(run.withSession(create));
  webhooks
    .command('rotate <webhook>')
    .description('a new secret, shown once; deliveries carry both signatures until the overlap is over')
    .option('--overlap <seconds>', 'how long both sign; 0 when the old one is known to others')
    .action(
      run.withSession(async (given) => {
        const {
          session,
          tenantId,
          args: [webhookId = ''],
          options,
        } = given;
        tellSecret(
          given,
          webhookId,
          await newSecret(session, { tenantId, webhookId, overlapMs: overlapMsOf(options) }),
        );
      }),
    );
  webhooks.command('list').action(run.withSession((given) => list(given, webhookEvolver)));
  webhooks.command('show <webhook>').action(run.withSession((given) => show(given, webhookEvolver, given.args[0])));
  webhooks.command('disable <webhook>').action(
    run.withSession(async ({ session, tenantId, args: [id = ''], printer }) => {
      const state = await decideAdmin(session, { evolver: webhookEvolver, tenantId, id }, (before) =>
        disableWebhook({ reason: null }, before),
      );
      await session.call(operations.deleteEndedEndpointSecrets, tenantId, { tenant_id: tenantId, webhook_id: id });
      printer.result(state, () => [`${id} is disabled`]);
    }),
  );
  webhooks
    .command('test <webhook>')
    .description('sends one signed webhook.test now; exit 1 unless it is taken')
    .action(
      run.withSession(async ({ session, tenantId, args: [webhookId = ''], printer }) => {
        const request = { tenant_id: tenantId, webhook_id: webhookId };
        const attempt = await session.call(operations.testWebhook, tenantId, request);
        printer.result(attempt, () => factLines(attempt));
        if (attempt.outcome !== 'delivered') process.exitCode = exitCodes.notSo;
      }),
    );
  webhooks
    .command('deliveries <webhook>')
    .description('what was sent to it, newest first, and what came of each attempt')
    .option('--status <status>', WebhookDeliveryStatus.options.join(', '))
    .option('--limit <count>', 'how many', String(limits.listPageMax))
    .action(run.withSession(deliveries));
  webhooks
    .command('redeliver <webhook>')
    .description('sends one message again, every one that was given up, or all that failed since a moment')
    .option('--message <id>', 'as deliveries shows it')
    .option('--dead', 'every one that was given up')
    .option(
      '--since <time>',
      'what was owed since then and is dead, or failed and waits for its next attempt (RFC 3339)',
    )
    .action(run.withSession(redeliver));
}

async function redeliver({ session, tenantId, args: [webhookId = ''], options, printer }: SessionRun): Promise<void> {
  const { message, dead, since } = options;
  if ([message, dead, since].filter((one) => one !== undefined).length !== 1) {
    throw new PosternError('request.malformed', 'Name one of --message, --dead and --since.');
  }
  const asked = {
    tenant_id: tenantId,
    webhook_id: webhookId,
    ...(typeof message === 'string' && { message_id: message }),
    ...(since !== undefined && { since: momentOf(since) }),
  };
  const progress = createProgress();
  let redelivered = 0;
  let after: number | undefined;
  try {
    do {
      const page = await session.call(operations.redeliver, tenantId, {
        ...asked,
        ...(after !== undefined && { after }),
      });
      redelivered += page.redelivered;
      after = page.next ?? undefined;
      progress.tell(`${redelivered} will be sent again`);
    } while (after !== undefined);
  } finally {
    progress.end();
  }
  printer.result({ redelivered }, () => [`${redelivered} will be sent again`]);
}

/** @throws {PosternError} `request.malformed` */
function momentOf(since: unknown): string {
  const atMs = Timestamp.safeParse(since).success ? Date.parse(String(since)) : Number.NaN;
  if (atMs <= Date.now()) return timestampOf(atMs);
  throw new PosternError('request.malformed', '--since takes a time that has come, such as 2026-11-22T12:00:00Z.');
}

async function create(given: SessionRun): Promise<void> {
  const { session, tenantId, options } = given;
  const url = WebhookUrl.safeParse(text(options, 'url'));
  if (!url.success)
    throw new PosternError('request.malformed', '--url must be https, without user, password or fragment.');
  const types = (options['type'] as string[]).map((name) => {
    const type = DeliveredType.safeParse(name);
    if (type.success) return type.data;
    throw new PosternError('request.malformed', `--type takes one of ${deliveredTypes.join(', ')}.`);
  });
  const webhookId = newId('webhook');
  await decideAdmin(session, { evolver: webhookEvolver, tenantId, id: webhookId }, (state) =>
    createWebhook({ name: text(options, 'name'), url: url.data, types }, state),
  );
  tellSecret(given, webhookId, await newSecret(session, { tenantId, webhookId, overlapMs: 0 }));
}

/**
 * Makes a secret, has the vault keep it and puts it into use.
 *
 * @effect A crash in between leaves the one before in use; the next rotation mends it.
 */
export async function newSecret(
  session: Session,
  { tenantId, webhookId, overlapMs }: { tenantId: string; webhookId: string; overlapMs: number },
): Promise<{ secret: string; version: number }> {
  const secret = randomBytes(secretBytes);
  const request = { tenant_id: tenantId, webhook_id: webhookId };
  const { secret_version: version } = await session.call(operations.storeEndpointSecret, tenantId, {
    ...request,
    sealed_secret: sealedToVault(session, { whk: webhookId }, secret),
  });
  await decideAdmin(session, { evolver: webhookEvolver, tenantId, id: webhookId }, (state, { nowMs }) =>
    storeWebhookSecret({ secretVersion: version, overlapMs, nowMs }, state),
  );
  await session.call(operations.deleteEndedEndpointSecrets, tenantId, request);
  return { secret: `whsec_${secret.toString('base64')}`, version };
}

/** The one place where the secret is printed: it is not kept where anybody could read it again. */
function tellSecret({ printer }: SessionRun, webhookId: string, made: { secret: string; version: number }): void {
  const shown = { webhook_id: webhookId, secret: made.secret, secret_version: made.version };
  printer.result(shown, () => [...factLines(shown), '', 'The secret is shown once.']);
}

async function deliveries({ session, tenantId, args: [webhookId = ''], options, printer }: SessionRun): Promise<void> {
  const status = options['status'] === undefined ? undefined : WebhookDeliveryStatus.safeParse(options['status']);
  if (status?.success === false) {
    throw new PosternError('request.malformed', `--status takes one of ${WebhookDeliveryStatus.options.join(', ')}.`);
  }
  const wanted = Number(options['limit']);
  if (!Number.isInteger(wanted) || wanted < 1) throw new PosternError('request.malformed', '--limit takes 1 or more.');
  const found: WebhookDelivery[] = [];
  let before: number | undefined;
  do {
    const limit = Math.min(limits.listPageMax, wanted - found.length);
    const query = { tenant_id: tenantId, webhook_id: webhookId, status: status?.data, limit, before };
    const page = await session.call(operations.listDeliveries, tenantId, query);
    found.push(...page.deliveries);
    before = page.next ?? undefined;
  } while (before !== undefined && found.length < wanted);
  printer.result({ deliveries: found }, () => deliveryLines(found));
}

function deliveryLines(found: readonly WebhookDelivery[]): string[] {
  return table([
    ['MESSAGE', 'TYPE', 'STATUS', 'ATTEMPTS', 'LAST', 'NEXT'],
    ...found.map(({ message_id: id, type, status, attempts, next_attempt_at: next }) => [
      ...[id, type, status, String(attempts.length), lastOf(attempts.at(-1)), next ?? ''],
    ]),
  ]);
}

function lastOf(attempt: WebhookAttempt | undefined): string {
  return attempt === undefined ? '' : `${attempt.outcome} at ${attempt.at}`;
}
