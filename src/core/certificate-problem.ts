const SIGNED_BY_NOBODY_KNOWN =
  'is signed by no authority that is trusted here; set tlsCaFile to the certificate of the authority that signed it';

/** By the codes of X509_verify_cert(3) that a wrong setup meets, and Node.js' own for the name. */
const PROBLEMS: Readonly<Record<string, string>> = {
  DEPTH_ZERO_SELF_SIGNED_CERT: SIGNED_BY_NOBODY_KNOWN,
  SELF_SIGNED_CERT_IN_CHAIN: SIGNED_BY_NOBODY_KNOWN,
  UNABLE_TO_GET_ISSUER_CERT: SIGNED_BY_NOBODY_KNOWN,
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: SIGNED_BY_NOBODY_KNOWN,
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: SIGNED_BY_NOBODY_KNOWN,
  CERT_SIGNATURE_FAILURE: SIGNED_BY_NOBODY_KNOWN,
  ERR_TLS_CERT_ALTNAME_INVALID: 'is for another host name; use a name that it has, or have it made for this one',
  CERT_HAS_EXPIRED: 'has expired; renew it',
  CERT_NOT_YET_VALID: "is not valid yet; check this machine's clock",
};

/**
 * Why a server's certificate was not accepted, as a sentence for the one who can mend it.
 * @returns undefined for an error of any other kind
 */
export function certificateProblem(error: unknown): string | undefined {
  const { code, cause } = error as { code?: unknown; cause?: unknown };
  const problem = typeof code === 'string' ? PROBLEMS[code] : undefined;
  if (problem) return `its certificate ${problem} (${code})`;
  return cause instanceof Error ? certificateProblem(cause) : undefined;
}
