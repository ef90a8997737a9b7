/** Was a row refused because another has its key? By shape: the error may be the driver's or wrapped by the ORM. */
export function isUniqueViolation(error: unknown): boolean {
  return error instanceof Error && (error as { readonly code?: unknown }).code === '23505';
}
