/** What a transmitter is told about a token that was not taken. @source RFC 8935 §2.4 */
export type SetErrorCode =
  | 'invalid_request'
  | 'invalid_key'
  | 'invalid_issuer'
  | 'invalid_audience'
  | 'authentication_failed';

/** A security event token was not taken. The description is for the transmitter's people, and holds nothing of ours. */
export class SetRefusal extends Error {
  override readonly name = 'SetRefusal';
  readonly code: SetErrorCode;

  constructor(code: SetErrorCode, description: string) {
    super(description);
    this.code = code;
  }

  /** As it stands in an answer to a push, and in `setErrs` of a poll. @source RFC 8935 §2.4, RFC 8936 §2.6 */
  get body(): { err: SetErrorCode; description: string } {
    return { err: this.code, description: this.message };
  }
}
