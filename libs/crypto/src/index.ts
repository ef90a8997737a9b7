export { addCheckpointBody, parseAddCheckpoint, type AddCheckpoint } from './add-checkpoint.ts';
export { AeadCiphertext, aeadKeyBytes, decryptAead, encryptAead, type AeadContext } from './aead.ts';
export { decodeBase64url, framed, toBytes, zero, type Bytes } from './bytes.ts';
export {
  noteVerifierKey,
  openCheckpoint,
  signCheckpoint,
  type Checkpoint,
  type OpenedCheckpoint,
} from './checkpoint.ts';
export { cookieValueBytesMax, openCookie, sealCookie, type CookieContext } from './cookie.ts';
export {
  cosignaturesOf,
  cosignCheckpoint,
  isWitnessed,
  parseWitness,
  witnessVerifierKey,
  type Cosignature,
  type Witness,
  type WitnessPolicy,
} from './cosignature.ts';
export { CiphertextInvalidError, CryptoError, InputInvalidError, KeyInvalidError } from './errors.ts';
export { commitHash, constantTimeEqual, digestKeyBytesMin, hmacSha256, keyedDigest, sha256Hex } from './hash.ts';
export {
  jweCharactersMax,
  openingKeyAgeMsMax,
  openingKeysMax,
  openJwe,
  opener,
  type OpenedJwe,
  type Opener,
} from './jwe-open.ts';
export { HeaderMembers, sealJwe, type AgreementParties, type JweContent, type SpelledMembers } from './jwe-seal.ts';
export {
  jwkThumbprint,
  publicJwkOf,
  type OkpCurve,
  type OkpKeyPair,
  type OkpPrivateJwk,
  type OkpPublicJwk,
} from './jwk.ts';
export { generateJwtKey, jwtSigner, parseJwtKey, type JwsAlgorithm, type JwsPublicJwk, type JwtSigner } from './jwt.ts';
export {
  generateSealingKey,
  parseRecipientKey,
  type SealingPrivateJwk,
  type SealingPublicJwk,
} from './key-agreement.ts';
export {
  consistencyAlong,
  TreeProver,
  verifyConsistency,
  verifyInclusion,
  type ConsistencyClaim,
  type InclusionClaim,
  type TreeStage,
} from './merkle-proof.ts';
export { emptyTreeHash, GrowingTree, treeLeafHash, treeNodeHash, type OnNode, type TreeHash } from './merkle-tree.ts';
export { codeChallengeS256, pkcePair, randomToken, randomTokenBytesMin, type PkcePair } from './random.ts';
export {
  ephemeralKeyAgeMsMax,
  ephemeralKeySealsMax,
  Sealer,
  sealingContextsMax,
  type SealerOptions,
  type SealerTo,
  type SealParties,
  type SealRequest,
} from './sealer.ts';
export { Secret } from './secret.ts';
export {
  parseTlsCertificate,
  tlsCertificateBytesMax,
  tlsCertificateFacts,
  type TlsCertificateFacts,
} from './tls-certificate.ts';
export {
  verifyWebhook,
  type VerifiedWebhook,
  type WebhookSecret,
  type WebhookVerification,
} from './webhook-signature.ts';
export { webhookSchemes, type WebhookDelivery, type WebhookScheme } from './webhook-schemes.ts';
export { sharedSignatureMessagesMax, signedFor, signTogether, type SignedBytes } from './shared-signature.ts';
export {
  generateSigningKey,
  signedMessage,
  signer,
  verifier,
  type Signer,
  type SigningPrivateJwk,
  type SigningPublicJwk,
  type Verifier,
} from './signing.ts';
