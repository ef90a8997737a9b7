import { readFileSync } from 'node:fs';

import { assertId, PosternError, provenStreams, streams, TrustBundle, type LeaseReceipt } from '@postern/contracts';
import { isWitnessed, noteVerifierKey, parseWitness, type WitnessPolicy } from '@postern/crypto';
import { checkpointOrigin, CheckpointReader, commitVerifier, openReceipt, type LogReport } from '@postern/event-log';
import type { Command } from 'commander';

import { readJsonFile } from '../data-folder/files.ts';
import { readTrust, rotateCheckpointKey } from '../data-folder/keys.ts';
import { dataFolder } from '../data-folder/paths.ts';
import { paint, type Printer } from '../output/printer.ts';
import type { GlobalOptions, RunCommand } from '../run-command.ts';
import { withAuditor } from './auditor.ts';
import { checkLeaseProof, LeaseProof, proveLease } from './prove.ts';
import { questionCommands } from './question-commands.ts';
import { verifyExport, verifyOnline, verifyPart, type Reports, type VerifyPlace } from './verify.ts';

interface VerifyOptions {
  readonly file?: string;
  readonly checkpoint: readonly string[];
  readonly receipt: readonly string[];
  readonly witness: readonly string[];
  readonly quorum?: string;
  readonly trust?: string;
  readonly connection?: string;
}

const several = (value: string, before: readonly string[]) => [...before, value];

/** `postern audit …`: proofs of the past, and questions about it. */
export function auditCommands(program: Command, run: RunCommand): void {
  const audit = program.command('audit').description('proofs of the past, and questions about it');
  questionCommands(audit, run);

  audit
    .command('verify')
    .description(
      'checks the log: signatures, writers, revisions, hash chain, carried states, and the tree against its checkpoints',
    )
    .option('--file <export>', 'verify an export instead, offline')
    .option('--checkpoint <file>', 'a checkpoint that left the house; may be repeated', several, [])
    .option(
      '--witness <key>',
      'believe only checkpoints cosigned by this witness (its verifier key); may be repeated',
      several,
      [],
    )
    .option('--quorum <count>', 'how many of the witnesses must have cosigned; all when absent')
    .option('--receipt <file>', 'a lease receipt that a client shows; may be repeated', several, [])
    .option('--trust <file>', 'the trust bundle; that of the data folder when absent')
    .option('--connection <id>', 'only this connection; --tenant for one tenant: a part of a log has no tree')
    .action(async (options: VerifyOptions, command: Command) => {
      const { file } = options;
      if (file !== undefined) {
        return run.plain(async ({ printer, globals }) => {
          conclude(await verifyExport(file, await placeOf(options, globals)), printer);
        })(options, command);
      }
      return run.withSession(async ({ session, printer, globals, tenantId }) => {
        const place = await placeOf(options, globals);
        const connectionId = options.connection && assertId('connection', options.connection);
        if (connectionId !== undefined || globals.tenant !== undefined) {
          if (options.receipt.length > 0) {
            throw new PosternError('request.malformed', 'A receipt is looked for in all of ACCESS: ask for no part.');
          }
          const logs = { ...session.past, access: session.connections };
          conclude(await verifyPart({ logs }, { tenantId, connectionId }, place), printer);
        } else {
          await withAuditor(session, async (log) => conclude(await verifyOnline(log, place), printer));
        }
      })(options, command);
    });

  audit
    .command('checkpoint <stream>')
    .description('prints the newest checkpoint of CONNECTIONS, ADMIN or ACCESS: keep it somewhere else')
    .action(
      run.withSession(async ({ session, args: [wanted = ''], printer }) => {
        const stream = provenStreams.find((one) => streams[one].name === wanted.toUpperCase());
        const { log } = readTrust(session.folder);
        if (stream === undefined || log === undefined) {
          throw new PosternError(
            'request.malformed',
            `${wanted} has no checkpoints; CONNECTIONS, ADMIN and ACCESS do.`,
          );
        }
        await withAuditor(session, async ({ checkpoints }) => {
          const { checkpoint: stored } = await new CheckpointReader(log, stream).newest(checkpoints);
          if (stored === undefined) throw new PosternError('log.unavailable', 'No checkpoint of it was made yet.');
          const origin = checkpointOrigin(log, stream);
          const keys = log.keys.map((key) => noteVerifierKey(origin, key));
          printer.result({ origin, size: stored.size, checkpoint: stored.note, verifier_keys: keys }, () =>
            stored.note.trimEnd().split('\n'),
          );
        });
      }),
    );

  audit
    .command('prove <lease>')
    .description('proves that the record of a lease stands in the log, to be checked elsewhere')
    .option('--checkpoint <file>', 'the checkpoint to prove against; the newest one when absent')
    .action(
      run.withSession(async ({ session, args: [lease = ''], options, printer }) => {
        const leaseId = assertId('lease', lease);
        const { checkpoint } = options;
        const place = {
          trust: readTrust(session.folder),
          checkpoint: typeof checkpoint === 'string' ? read(checkpoint) : undefined,
        };
        const proof = await withAuditor(session, (log) => proveLease(leaseId, log, place));
        printer.result(proof, () => [JSON.stringify(proof, null, 2)]);
      }),
    );

  audit
    .command('check-proof <file>')
    .description('checks what prove printed, offline, with the public keys of the trust bundle')
    .option('--receipt <file>', 'the lease receipt that the client shows: the proof must be of what it promises')
    .option('--trust <file>', 'the trust bundle; that of the data folder when absent')
    .action(
      run.plain(async ({ args: [path = ''], options, printer, globals }) => {
        const proof = LeaseProof.safeParse(readJsonFile(path));
        if (!proof.success) {
          throw new PosternError('request.malformed', `${path} holds no proof.`, { cause: proof.error });
        }
        const { trust } = options;
        const bundle = typeof trust === 'string' ? trustAt(trust) : readTrust(await dataFolder(globals.data));
        const { receipt } = options;
        const promised = typeof receipt === 'string' ? receiptAt(receipt, bundle) : undefined;
        const record = checkLeaseProof(proof.data, bundle, promised);
        printer.result({ holds: true, position: proof.data.position, record }, () => [
          `${paint('32', 'holds')}  ${record.leaseId} was ${record.outcome} at ${record.at}, position ${proof.data.position} of ACCESS`,
          `  ${record.connectionId} to ${record.agentId} of ${record.platformId}, for: ${record.purpose}`,
        ]);
      }),
    );

  audit
    .command('rotate-key')
    .description('lets a new key sign the checkpoints; the one until now signs beside it until the next change')
    .action(
      run.plain(async ({ printer, globals }) => {
        const { name, keys } = rotateCheckpointKey(await dataFolder(globals.data));
        printer.result({ name, key_ids: keys.map(({ kid }) => kid) }, () => [
          `The new key is ${keys[0]?.kid}. It signs once audit is started again (restart postern up).`,
          'Give the new trust bundle to whoever verifies elsewhere: until the next change both keys sign.',
        ]);
      }),
    );
}

async function placeOf(options: VerifyOptions, { data }: GlobalOptions): Promise<VerifyPlace> {
  const { trust, checkpoint, receipt } = options;
  const bundle = trust === undefined ? readTrust(await dataFolder(data)) : trustAt(trust);
  return {
    trust: bundle,
    outside: checkpoint.map(read),
    witnesses: witnessesOf(options),
    receipts: receipt.map((path) => receiptAt(path, bundle)),
  };
}

/** @throws {PosternError} `request.malformed` for what is no witness's key, or a quorum that cannot be had. */
function witnessesOf({ witness, quorum, checkpoint }: VerifyOptions): WitnessPolicy | undefined {
  if (witness.length === 0 && quorum === undefined) return undefined;
  if (checkpoint.length === 0) {
    throw new PosternError(
      'request.malformed',
      '--witness says whose cosignatures a --checkpoint must bear: give one.',
    );
  }
  try {
    const witnesses = witness.map(parseWitness);
    const policy = { witnesses, quorum: quorum === undefined ? witnesses.length : Number(quorum) };
    isWitnessed('', policy);
    return policy;
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new PosternError('request.malformed', `--witness or --quorum: ${why}.`, { cause });
  }
}

/** A file that holds a receipt, or the answer in which it came. @throws {PosternError} `request.malformed` */
function receiptAt(path: string, trust: TrustBundle): LeaseReceipt {
  const text = read(path).trim();
  const jws = text.startsWith('{') ? String((readJsonFile(path) as { receipt?: unknown }).receipt) : text;
  const receipt = openReceipt(jws, commitVerifier(trust));
  if (receipt !== undefined) return receipt;
  throw new PosternError('request.malformed', `${path} holds no lease receipt that the vault signed.`);
}

function trustAt(path: string): TrustBundle {
  const parsed = TrustBundle.safeParse(readJsonFile(path));
  if (parsed.success) return parsed.data;
  throw new PosternError('config.invalid', `${path} holds no trust bundle.`, { cause: parsed.error });
}

/** @throws {PosternError} `config.invalid` */
function read(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (cause) {
    throw new PosternError('config.invalid', `${path} cannot be read.`, { cause });
  }
}

function conclude(reports: Reports, printer: Printer): void {
  const whole = Object.values(reports).every(({ findings }) => findings.length === 0);
  printer.result({ whole, logs: reports }, () =>
    Object.entries(reports).flatMap(([name, report]) => reportLines(name, report)),
  );
  if (!whole) throw new PosternError('log.message_damaged', 'The log is not whole: the positions above say where.');
}

function reportLines(name: string, report: LogReport): string[] {
  const { messages, aggregates, lastPosition, findings, findingsOmitted } = report;
  const summary = `${name}: ${messages} messages of ${aggregates} aggregates, up to position ${lastPosition}`;
  if (findings.length === 0) return [`${paint('32', 'whole')}  ${summary}; ${provedWords(report)}`];
  return [
    `${paint('31', 'broken')} ${summary}; ${provedWords(report)}`,
    ...findings.map(
      ({ position, kind, subject, reason }) => `  position ${position}  ${kind}: ${reason}  (${subject})`,
    ),
    ...(findingsOmitted > 0 ? [`  and ${findingsOmitted} more`] : []),
  ];
}

function provedWords({ tree, lastPosition }: LogReport): string {
  if (tree === undefined) return 'tail unproven (no tree: a part of a log, or no checkpoint given)';
  const { provenUpTo, checkpointedUpTo } = tree;
  if (provenUpTo > 0 && provenUpTo === lastPosition) return 'proved to its end';
  const from = `tail unproven from position ${provenUpTo + 1} on`;
  return checkpointedUpTo > provenUpTo ? `${from} (checkpointed in this house up to ${checkpointedUpTo})` : from;
}
