/** A failpoint proves something only where it stands: after its side effect, and before the next. */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { failpoints, type Failpoint } from '../../src/failpoint.ts'
import { kills } from './sweep.ts'

const src = join(import.meta.dirname, '..', '..', 'src')
const reconcile = 'controllers/workspace/reconcile.ts'
const deeds = 'controllers/workspace/deeds.ts'
const sense = 'controllers/workspace/sense.ts'
const finish = 'controllers/workspace/finish.ts'
const orgImport = 'controllers/org-import/reconcile.ts'
const apply = 'controllers/org-import/apply.ts'
const docker = 'backends/docker/backend.ts'

/** File, and the last thing awaited before the call. */
const places: Readonly<Record<Failpoint, readonly (readonly [file: string, effect: string])[]>> = {
  claimed: [
    [orgImport, 'ctx.claim('],
    [reconcile, 'ctx.claim('],
  ],
  recorded: [[reconcile, 'this.#record(']],
  parted: [['controllers/workspace/equip.ts', 'parts.recordParts(']],
  launching: [[deeds, 'this.#with.rows.launch(']],
  created: [[docker, 'this.#create(']],
  delivered: [[docker, 'this.#engine.put(']],
  ensured: [[deeds, 'this.#backend(facts).ensure(']],
  observed: [[deeds, 'this.#with.rows.observed(']],
  failed: [[deeds, 'this.#change(']],
  adopted: [[sense, 'backend.adopt(']],
  hibernating: [[sense, 'this.#with.rows.hibernate(']],
  prepared: [[deeds, 'this.#backend(facts).prepare(']],
  removed: [[deeds, 'this.#backend(facts).remove(']],
  rested: [[deeds, 'this.#change(']],
  tombstoned: [[finish, 'rows.remove(']],
  cascaded: [[finish, 'prune(']],
  leaked: [[finish, 'rows.leak(']],
  // In the branch in which nothing is left of what was erased: the leak stands in the other.
  erased: [[finish, 'rows.leak(']],
  reported: [['kube/controller.ts', 'this.#reporter.report(']],
  filed: [[apply, 'each(remove,']],
  applied: [[apply, 'applyChild(']],
  equipped: [[apply, 'client.delete(pluginInstallType']],
  pruned: [[apply, 'client.delete(workspaceType']],
  released: [['controllers/org-import/finish.ts', 'client.mergePatch(workspaceType']],
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
