/** What may be remembered: memories are read by other agents, and by people. Pure. Source: spec/org-import §1.4. */

const mostBytes = 100_000

/**
 * What is assigned to a name that means a secret. Each search goes from one such word to the next and no further: a text
 * full of them is read in one go, not once for each.
 */
const secretWord = 'API_?KEY|TOKEN|SECRET|PASSWORD'
const assigned = new RegExp(
  `((?:${secretWord})(?:(?!${secretWord})[A-Za-z0-9_])*["']?\\s*[=:]\\s*["']?)[^\\s"',;]+`,
  'gi',
)
/** Well-known prefixes, and anything long that looks random. */
const prefixed = /\bBearer\s+[A-Za-z0-9._~+/=-]{8,}|\b(?:sk-|ctx7_|ghp_|xox[abp]-)[A-Za-z0-9_-]{8,}/g
const random =
  /(?<![A-Za-z0-9+/_-])(?=[A-Za-z+/_-]*[0-9])(?=[a-z0-9+/_-]*[A-Z])(?=[A-Z0-9+/_-]*[a-z])[A-Za-z0-9+/_-]{33,}={0,2}/g

/** The text with secrets blotted out, cut to 100,000 bytes without halving a character. */
export function memoryText(content: string): string {
  const safe = content
    .replaceAll(assigned, '$1[redacted]')
    .replaceAll(prefixed, '[redacted]')
    .replaceAll(random, '[redacted]')
  const bytes = Buffer.from(safe)
  if (bytes.length <= mostBytes) return safe
  return new TextDecoder().decode(bytes.subarray(0, mostBytes), { stream: true })
}
