import {
  CommitReader,
  type CommitSigner,
  type CommitVerifier,
  type ReadResult,
  type StoredMessage,
} from '@postern/event-log';

/** Signs as an app, in name only: signatures are not what is simulated, and would be most of the work. */
export function nominalSigner(app: string): CommitSigner {
  return {
    keyId: `${app}.simulated`,
    identity: app,
    sign: () => 'c2ltdWxhdGVk',
    signTogether: async () => 'c2ltdWxhdGVk',
  };
}

const nominalVerifier: CommitVerifier = {
  verify: (keyId) => ({ identity: keyId.slice(0, keyId.indexOf('.')) }),
};

/** The newest readings of a subject that are kept: the commits of one claim. */
const keptPerSubjectMax = 8;

/** Reads each message once for all processes: what is read does not change. */
export class MemoReader extends CommitReader {
  readonly #kept = new Map<string, { readonly position: number; readonly result: ReadResult }[]>();

  constructor() {
    super({ verifier: nominalVerifier });
  }

  override read(message: StoredMessage): ReadResult {
    const kept = this.#kept.get(message.subject) ?? [];
    const known = kept.find(({ position }) => position === message.position);
    if (known !== undefined) return known.result;
    const result = super.read(message);
    kept.push({ position: message.position, result });
    if (kept.length > keptPerSubjectMax) kept.shift();
    this.#kept.set(message.subject, kept);
    return result;
  }
}
