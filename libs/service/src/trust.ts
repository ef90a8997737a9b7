import { PosternError, type IdentityName, type TrustBundle, type X25519PublicJwk } from '@postern/contracts';
import { CommitReader, commitVerifier, type CommitVerifier } from '@postern/event-log';

/** More than the commits that one process has to do with within a few seconds; some 6 MiB. */
const signaturesRememberedMax = 16_384;

/** Whose signatures this service believes and to whose keys it seals: the bundle that was pinned at deploy time. */
export class Trust {
  readonly bundle: TrustBundle;
  readonly verifier: CommitVerifier;
  /** Reads the log with these keys. */
  readonly reader: CommitReader;

  constructor(bundle: TrustBundle) {
    this.bundle = bundle;
    this.verifier = commitVerifier(bundle, { rememberedMax: signaturesRememberedMax });
    this.reader = new CommitReader({ verifier: this.verifier });
  }

  /** The key to which a secret for that identity is sealed. @throws {PosternError} `config.invalid` */
  recipient(identity: IdentityName): X25519PublicJwk {
    const jwk = this.bundle.recipients[identity];
    if (jwk !== undefined) return jwk;
    throw new PosternError('config.invalid', `POSTERN_TRUST_FILE pins no sealing key for ${identity}.`);
  }
}
