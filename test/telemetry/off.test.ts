/** Traces that are off cost no memory: nothing of their SDK is even resolved. */
import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { expect, test } from 'vitest'

const root = join(import.meta.dirname, '../..')

/** What a fresh process resolves of OpenTelemetry while it runs this. */
function resolvedBy(script: string): string[] {
  const program = `
    import { registerHooks } from 'node:module'
    const seen = []
    registerHooks({ resolve(specifier, context, next) {
      if (specifier.includes('@opentelemetry')) seen.push(specifier)
      return next(specifier, context)
    } })
    ${script}
    console.log(JSON.stringify([...new Set(seen)]))`
  const output = execFileSync(process.execPath, ['--input-type=module', '--eval', program], { encoding: 'utf8' })
  return JSON.parse(output.trim().split('\n').at(-1) ?? '[]') as string[]
}
const url = (path: string) => JSON.stringify(pathToFileURL(join(root, path)).href)

test('the whole operator loads without it', () => {
  // The API alone is prom-client's: it wants to know of traces for its exemplars.
  expect(resolvedBy(`await import(${url('src/operator.ts')})`)).toEqual(['@opentelemetry/api'])
})

test('a collector loads it', () => {
  const start = `const { startTracing } = await import(${url('src/telemetry/trace.ts')})
    await (await startTracing({ endpoint: 'http://127.0.0.1:9', ratio: 1 }))()`
  expect(resolvedBy(start)).toContain('@opentelemetry/sdk-trace')
})
