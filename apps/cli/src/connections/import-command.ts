import { limits, operations, PosternError, type HttpImportRow, type ImportRow, type ReplyOf } from '@postern/contracts';
import { zero } from '@postern/crypto';
import type { Command } from 'commander';

import { sealedTo } from '../admin/sealed-to-vault.ts';
import { exitCodes } from '../output/exit-code.ts';
import { table } from '../output/printer.ts';
import type { RunCommand } from '../run-command.ts';
import type { Session } from '../session/session.ts';
import { readImportRows, type ReadRow } from './import-rows.ts';

type Reply = ReplyOf<typeof operations.importConnections>;

/** `postern connections import`: connections that another broker held, all of them or none. */
export function importCommand(connections: Command, run: RunCommand): void {
  connections
    .command('import <file>')
    .description(
      'takes over connections that another broker held, all or none: a JSON object a line; - is standard input',
    )
    .requiredOption('--platform <id>', 'whose connections they become')
    .option('--dry-run', 'looks at every row as an import does, says what is wrong, and writes nothing')
    .action(
      run.withSession(async ({ session, tenantId, printer, args: [file = ''], options }) => {
        const read = await readImportRows(file);
        const dryRun = options['dryRun'] === true;
        const rows = requireReadable(read).map((row) => sealed(row, { session, tenantId }));
        const request = { platform_id: String(options['platform']), rows, dry_run: dryRun };
        if (Buffer.byteLength(JSON.stringify(request)) > limits.importBytesMax) {
          const words = `With its tokens an import has at most ${limits.importBytesMax} bytes: split the file.`;
          throw new PosternError('request.too_large', words);
        }
        const reply = await session.call(operations.importConnections, tenantId, request, {
          timeoutMs: limits.importTimeoutMs,
        });
        if (reply.rows.some(({ outcome }) => outcome === 'refused')) process.exitCode = exitCodes.notSo;
        printer.result(reply, () => linesOf(reply, read));
      }),
    );
}

function requireReadable(read: readonly ReadRow[]): HttpImportRow[] {
  const fields = read.flatMap((one) => ('reason' in one ? [{ path: `line ${one.line}`, reason: one.reason }] : []));
  if (fields.length > 0) {
    const words = fields.map(({ path, reason }) => `${path}: ${reason}`).join('\n  ');
    throw new PosternError('connection.import_refused', `Not every line is a row:\n  ${words}`, {
      details: { fields },
    });
  }
  return read.flatMap((one) => ('row' in one ? [one.row] : []));
}

function sealed(
  { access_token, refresh_token, expires_at, ...facts }: HttpImportRow,
  { session, tenantId }: { readonly session: Session; readonly tenantId: string },
): ImportRow {
  const plaintext = Buffer.from(JSON.stringify({ access_token, refresh_token, expires_at }), 'utf8');
  try {
    const protectedHeader = { cty: 'application/json', ten: tenantId };
    return { ...facts, sealed_tokens: sealedTo('authorization', session, { protectedHeader, plaintext }) };
  } finally {
    zero(plaintext);
  }
}

function linesOf({ rows }: Reply, read: readonly ReadRow[]): string[] {
  return table([
    ['LINE', 'REFERENCE', 'OUTCOME', 'CONNECTION', 'REASON'],
    ...rows.map(({ reference, outcome, connection_id: id, code, reason }, index) => [
      ...[String(read[index]?.line ?? index + 1), reference, outcome, id ?? '-'],
      code === null ? '-' : `${code}: ${reason ?? ''}`,
    ]),
  ]);
}
