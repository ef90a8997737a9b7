import { z } from 'zod';

/** A claims request is a small object; Microsoft's are some hundred characters. */
const claimsCharsMax = 2048;

/**
 * What a provider's API wants to be asked for at the next authorization, as the text of the parameter `claims`.
 *
 * @source OpenID Connect Core 1.0 §5.5
 */
export const RequiredClaims = z.string().min(2).max(claimsCharsMax);
