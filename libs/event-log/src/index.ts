export { AppendLoad, type AppendLoadOptions } from './contract/append-load.ts';
export { eventLogContract } from './contract/event-log-contract.ts';
export type { LogUnderTest } from './contract/harness.ts';
export { aggregateOf, subjectOf, type Aggregate } from './aggregate.ts';
export { CommitReader, type LogEntry, type LogProblem, type ReadResult } from './commit-reader.ts';
export { encodeCommit, type EncodedCommit, type EncodeOptions } from './encode-commit.ts';
export type {
  Appended,
  AppendRequest,
  BoundedReadRequest,
  EventLog,
  LastOptions,
  LogBeginning,
  LogSubscription,
  ReadRequest,
  StoredMessage,
  SubscribeRequest,
} from './event-log.ts';
export { archiveStoreAt, isObjectPlace, s3SettingsOf } from './archive/archive-place.ts';
export type { ArchiveStore } from './archive/archive-store.ts';
export type { S3Settings } from './archive/s3-store.ts';
export { StreamArchive, type Archive } from './archive/stream-archive.ts';
export { ArchiveIndex } from './archive/archive-index.ts';
export { withArchive } from './archive/with-archive.ts';
export { exportMessage, importMessage } from './exported-message.ts';
export type { AnyEvent, EventMeta, Evolver, Upcast } from './evolver.ts';
export { emptyLoaded, foldEntry, type Loaded } from './loaded.ts';
export { following } from './proven.ts';
export { MemoryEventLog, type AppendFault, type MemoryEventLogOptions } from './memory-event-log.ts';
export { assertMessageSize, messageBytes } from './message-size.ts';
export {
  Repository,
  type AggregateRef,
  type DecideContext,
  type Executed,
  type ExecuteOptions,
  type RepositoryOptions,
} from './repository.ts';
export {
  appendPolicy,
  resolveAppend,
  resolveTogether,
  retryDelayMs,
  type AppendPolicy,
  type AppendSteps,
  type AppendTogetherSteps,
  type Pause,
  type SendOutcome,
} from './resolve-append.ts';
export { requireSignature, signAsAdministrator, type RecordedAdministrator } from './administrator-signature.ts';
export {
  commitSigner,
  commitVerifier,
  type CommitSigner,
  type CommitVerifier,
  type CommitVerifierOptions,
} from './signing.ts';
export { readTogether, type ReadTogetherOptions } from './read-together.ts';
export { SharedReads } from './shared-reads.ts';
export { subjectMatches } from './subject-filter.ts';
export { Follower, type FollowerCounters, type FollowerOptions, type FollowFrom } from './follower.ts';
export { LruCache } from './state-cache.ts';
export { DirectoryFollower, StateView, type DirectoryFollowerOptions, type StateViewOptions } from './state-view.ts';
export type { WaitOptions } from './waiters.ts';
export { LogVerifier, type LogFinding, type LogVerifierOptions } from './log-verifier.ts';
export { AccessReader, type AccessEntry, type AccessReadResult } from './access-reader.ts';
export { CheckpointKeeper, type CheckpointKeeperOptions, type CheckpointRound } from './checkpoint-keeper.ts';
export {
  CheckpointReader,
  checkpointOrigin,
  type CheckpointRead,
  type NewestCheckpoint,
  type StoredCheckpoint,
} from './checkpoint-reader.ts';
export { keepsPromise, openReceipt, ReceiptVerifier, signReceipt, type RecordPlace } from './receipt.ts';
export { logLeaf, missingLeaf } from './log-leaf.ts';
export { LogTree, logLeafHash, type TreeStanding } from './log-tree.ts';
export { TreeVerifier, type TreeReport, type TreeVerifierOptions } from './tree-verifier.ts';
export {
  findingsMax,
  verifyAccess,
  verifyLog,
  type LogReport,
  type VerifyAccessOptions,
  type VerifyOptions,
} from './verify-log.ts';
