/** What this build is. */
import { readFileSync } from 'node:fs'

/** Set by src/dev/bundle.ts; there is none where the operator runs from its source. */
declare const BUILD_COMMIT: string | undefined

/** The commit that it was built from; `unknown` where that is. */
export const commit: string = typeof BUILD_COMMIT === 'string' ? BUILD_COMMIT : 'unknown'

/** As package.json has it, which lies beside both src/ and dist/. */
export function readVersion(): string {
  const text = readFileSync(new URL('../package.json', import.meta.url), 'utf8')
  return (JSON.parse(text) as { version: string }).version
}
