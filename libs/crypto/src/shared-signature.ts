import { decodeBase64url } from './bytes.ts';
import { InputInvalidError } from './errors.ts';
import { inclusionRoot, TreeProver } from './merkle-proof.ts';
import { emptyTreeHash, GrowingTree, treeLeafHash, type TreeHash } from './merkle-tree.ts';
import { signedMessage, type Signer } from './signing.ts';

/** How many messages one signature may stand for: each doubling adds 43 characters to all of them. */
export const sharedSignatureMessagesMax = 8;

/** Separates these signatures from those over one message: whatever it is, its context is another. */
const context = 'postern.shared-signature.v1';
const hashBytes = emptyTreeHash.byteLength;
/** The signature, the message's place among how many, and the proof that it stands there. */
const shape = /^([\w-]{86})\.(0|[1-7])\.([2-8])\.((?:[\w-]{43}){1,3})$/;

/**
 * Signs messages that are ready at the same time: one alone as ever, several by one signature over the head of a tree
 * whose leaves they are. Each gets that signature, its place and the proof of it, and so can be checked without the
 * others.
 *
 * A signature takes as long as all else that is done with a message, a hash a hundredth of it.
 *
 * @param messages 1 to {@link sharedSignatureMessagesMax}.
 * @returns as many, in order: 86 characters alone, up to 220 shared.
 * @throws {InputInvalidError} for none or too many.
 * @source RFC 9162 §2.1
 */
export function signTogether(signer: Signer, messages: readonly Uint8Array[]): string[] {
  const [only] = messages;
  const size = messages.length;
  if (only === undefined || size > sharedSignatureMessagesMax) {
    throw new InputInvalidError(`${size} messages cannot share a signature`);
  }
  if (size === 1) return [signer.sign(only)];
  const provers = messages.map((_, index) => TreeProver.inclusion(index, size));
  const tree = new GrowingTree((level, index, node) => {
    for (const prover of provers) prover.onNode(level, index, node);
  });
  for (const message of messages) tree.append(treeLeafHash(message));
  const signature = signer.sign(headMessage(size, tree.root()));
  return provers.map((prover, index) => {
    const proof = prover.proof().map((node) => node.toString('base64url'));
    return `${signature}.${index}.${size}.${proof.join('')}`;
  });
}

/** What a key has signed, alone or for several, and its signature. */
export interface SignedBytes {
  readonly bytes: Uint8Array;
  /** base64url */
  readonly signature: string;
}

/**
 * What is to be checked for a message and its signature: the message itself, or the head that its proof leads to.
 *
 * @param signature as it was shown: of a stranger, perhaps.
 * @returns undefined when it is neither.
 */
export function signedFor(message: Uint8Array, signature: string): SignedBytes | undefined {
  if (!signature.includes('.')) return { bytes: message, signature };
  const [, shared, index, size, path] = shape.exec(signature) ?? [];
  if (shared === undefined || path === undefined) return undefined;
  const proof = hashesOf(path);
  const place = { index: Number(index), size: Number(size), leafHash: treeLeafHash(message) };
  const root = proof && inclusionRoot(proof, place);
  return root && { bytes: headMessage(place.size, root), signature: shared };
}

function headMessage(size: number, root: TreeHash): Buffer {
  return signedMessage(context, `head of ${size}`, root);
}

function hashesOf(path: string): TreeHash[] | undefined {
  const hashes: TreeHash[] = [];
  for (let at = 0; at < path.length; at += 43) {
    const node = decodeBase64url(path.slice(at, at + 43));
    if (node?.byteLength !== hashBytes) return undefined;
    hashes.push(Buffer.from(node));
  }
  return hashes;
}
