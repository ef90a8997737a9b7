import {
  PosternError,
  streamFilters,
  streams,
  subjects,
  type CheckpointRecord,
  type LogTrust,
  type ProvenStream,
} from '@postern/contracts';
import { sha256Hex, signCheckpoint, TreeProver, type SigningPrivateJwk, type TreeHash } from '@postern/crypto';

import { CheckpointReader, checkpointOrigin } from './checkpoint-reader.ts';
import type { EventLog, StoredMessage } from './event-log.ts';
import { LogTree, logLeafHash } from './log-tree.ts';
import type { LogFinding } from './log-verifier.ts';

export interface CheckpointKeeperOptions {
  readonly stream: ProvenStream;
  /** The stream itself. */
  readonly log: EventLog;
  /** Where its heads stand. */
  readonly checkpoints: EventLog;
  readonly trust: LogTrust;
  /** Each signs: two while one takes over from the other. */
  readonly keys: readonly SigningPrivateJwk[];
  /** How many messages are taken before a head is signed. */
  readonly messagesPerRoundMax?: number | undefined;
}

/** What one round came to. */
export interface CheckpointRound {
  /** The newest head; undefined when nothing was ever written. */
  readonly newest: { readonly size: number; readonly note: string } | undefined;
  /** Is there more to be taken at once? */
  readonly more: boolean;
  /** A log that is not what was signed gets no further head: a fork is found, not signed. */
  readonly findings: readonly LogFinding[];
}

const messagesPerRoundMaxDefault = 100_000;

/**
 * Keeps the heads of one stream's tree: takes what came since the last one, and signs the next, with the proof that it
 * continues the last.
 *
 * It holds nothing between two rounds: what it goes on from stands with the checkpoint, so any number may run.
 */
export class CheckpointKeeper {
  readonly #options: CheckpointKeeperOptions;
  readonly #reader: CheckpointReader;
  readonly #subject: string;
  readonly #name: string;

  constructor(options: CheckpointKeeperOptions) {
    this.#options = options;
    this.#reader = new CheckpointReader(options.trust, options.stream);
    this.#name = streams[options.stream].name;
    this.#subject = subjects.checkpoint(this.#name);
  }

  /**
   * @throws {PosternError} `log.message_damaged` when no checkpoint can be gone on from, `log.unavailable`; both may be
   *   tried again.
   */
  async round(): Promise<CheckpointRound> {
    const { log, stream, messagesPerRoundMax = messagesPerRoundMaxDefault } = this.#options;
    const { checkpoint, position } = await this.#reader.newest(this.#options.checkpoints);
    const head = await log.head();
    const size = checkpoint?.size ?? 0;
    const stay = (findings: readonly LogFinding[] = []) => ({ newest: checkpoint, more: false, findings });
    if (head < size) return stay([this.#cut(head, size)]);
    if (head === 0) return stay();
    const until = Math.min(head, size + messagesPerRoundMax);
    const prover = size > 0 && until > size ? TreeProver.consistency(size, until) : undefined;
    const tree = LogTree.at({ size, subtrees: checkpoint?.subtrees ?? [] }, prover?.onNode);
    if (tree === undefined) throw new PosternError('log.message_damaged', `No tree of ${this.#name} to go on from.`);
    const findings: LogFinding[] = [];
    let isSame = size === 0;
    for await (const message of log.read({
      filter: streamFilters[stream],
      fromPosition: Math.max(1, size),
      untilPosition: until,
    })) {
      if (message.position <= size) {
        isSame = checkpoint?.lastLeafHash.equals(logLeafHash(message)) === true;
        continue;
      }
      if (!isSame) break;
      findings.push(...this.#fill(tree, message));
      tree.add(message);
    }
    if (!isSame) return stay([this.#changed(size)]);
    // A replica that lags shows less than there is, and what it does not show is not missing yet.
    if (tree.size < until || tree.size === size) return stay(findings);
    const note = await this.#append({ tree, consistency: prover?.proof() ?? [], after: position });
    return { newest: { size: tree.size, note }, more: until < head, findings };
  }

  #fill(tree: LogTree, { position, subject }: StoredMessage): LogFinding[] {
    const from = tree.size + 1;
    if (position === from) return [];
    while (tree.size < position - 1) tree.add(undefined);
    return [
      { kind: 'missing', position: from, subject, reason: `nothing stands at positions ${from} to ${position - 1}` },
    ];
  }

  async #append(made: { tree: LogTree; consistency: readonly TreeHash[]; after: number }): Promise<string> {
    const { tree, consistency, after } = made;
    const { checkpoints, trust, stream, keys } = this.#options;
    const { size, subtrees, lastLeafHash } = tree;
    const note = signCheckpoint({ origin: checkpointOrigin(trust, stream), size, root: tree.root() }, keys);
    const base64 = (hash: TreeHash) => hash.toString('base64');
    const record: CheckpointRecord = {
      note,
      subtrees: subtrees.map(base64),
      lastLeaf: base64(lastLeafHash),
      consistency: consistency.map(base64),
    };
    await checkpoints.append({
      subject: this.#subject,
      payload: Buffer.from(JSON.stringify(record)),
      headers: {},
      messageId: `${this.#name}.${size}.${sha256Hex(note).slice(0, 16)}`,
      expectedPosition: after,
    });
    return note;
  }

  #cut(head: number, size: number): LogFinding {
    const reason = `positions ${head + 1} to ${size} are gone: the tail was cut, or an older backup restored`;
    return { kind: 'cut', position: head + 1, subject: this.#name, reason };
  }

  #changed(size: number): LogFinding {
    const reason = `position ${size} is not what was checkpointed; audit verify tells from where on`;
    return { kind: 'checkpoint', position: size, subject: this.#name, reason };
  }
}
