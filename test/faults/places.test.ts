/** A failpoint proves something only where it stands: after its side effect, and before the next. */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { failpoints, type Failpoint } from '../../src/failpoint.ts'
import { kills } from './sweep.ts'

const src = join(import.meta.dirname, '..', '..', 'src')
const workspace = 'controllers/workspace/reconcile.ts'
const orgImport = 'controllers/org-import/reconcile.ts'
const docker = 'backends/docker/backend.ts'

/** File, and the last thing awaited before the call. */
const places: Readonly<Record<Failpoint, readonly (readonly [file: string, effect: string])[]>> = {
  claimed: [
    [orgImport, 'ctx.claim('],
    [workspace, 'ctx.claim('],
  ],
  recorded: [[workspace, 'rows.record(']],
  launching: [[workspace, 'rows.launch(']],
  created: [[docker, 'this.#create(']],
  delivered: [[docker, 'this.#engine.put(']],
  ensured: [[workspace, 'this.#backend(row.backend).ensure(']],
  observed: [[workspace, 'this.#with.rows.observed(']],
  failed: [[workspace, 'this.#change(']],
  removed: [[workspace, 'this.#backend(row.backend).remove(']],
  tombstoned: [[workspace, 'this.#with.rows.remove(']],
  erased: [[workspace, 'this.#erase(']],
  reported: [['kube/controller.ts', 'this.#reporter.report(']],
  applied: [['controllers/org-import/apply.ts', 'client.apply(workspaceType']],
}

function callsOf(name: Failpoint): (readonly [string, string])[] {
  const files = readdirSync(src, { recursive: true, encoding: 'utf8' })
  return files
    .filter((file) => file.endsWith('.ts') && !file.endsWith('.test.ts'))
    .sort()
    .flatMap((file) => {
      const parts = readFileSync(join(src, file), 'utf8').split(`failpoint('${name}')`)
      return parts.slice(0, -1).map((before) => [file, before.slice(before.lastIndexOf('await ') + 6)] as const)
    })
}

describe.each(failpoints)('%s', (name) => {
  test('stands right after its side effect, there and nowhere else', () => {
    const found = callsOf(name)
    expect(found.map(([file]) => file)).toEqual(places[name].map(([file]) => file))
    for (const [i, [, effect]] of places[name].entries()) expect(found[i]?.[1].startsWith(effect)).toBe(true)
  })

  test('is a line of the sweep', () => {
    expect(kills.map(({ point }) => point)).toContain(name)
  })
})
