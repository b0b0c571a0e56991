/**
 * Every field of a Workspace and a Runtime, spoiled in every way, in front of a running operator: what admission lets
 * through must become Ready, or say why not with nothing made, and recover when the field is put right again.
 */
import type { WorkspaceStatus } from '../../src/api/workspace.ts'
import type { FakeBackend } from '../../src/backends/fake/backend.ts'
import { objectOf, schemaOf, type Json, type Kind, type Requests, type Sent } from '../api/requests.ts'
import { changed, leavesOf, spoilt, valueAt, type Path } from '../api/spoil.ts'
import { until } from '../support/until.ts'

export interface Input {
  readonly kind: Kind
  readonly at: string
  readonly path: Path
  readonly how: string
  /** The spec that is legal, and the same with the one field spoiled. */
  readonly sound: Json
  readonly spoiled: Json
}

/** Where an input led. `fault`: what ought not to be. */
export interface Result {
  readonly input: Input
  readonly end: string
  readonly fault: string | undefined
}

export interface Scene {
  readonly api: Requests
  readonly backends: readonly FakeBackend[]
  /** Whether a row of that id exists that is not removed. */
  readonly hasRow: (id: string) => Promise<boolean>
}

export function inputsOf(kind: Kind, specs: readonly Json[]): Input[] {
  const schema = schemaOf(kind).properties?.['spec'] ?? {}
  return specs.flatMap((sound) =>
    leavesOf(schema, sound).flatMap((leaf) =>
      spoilt(leaf, valueAt(sound, leaf.path)).map(({ how, value }) => ({
        kind,
        at: leaf.path.map((name) => (name === 0 ? '[]' : String(name))).join('.'),
        path: leaf.path,
        how,
        sound,
        spoiled: changed(sound, leaf.path, value) as Json,
      })),
    ),
  )
}

/** What of a spec two objects may not share, or what cannot go back: those inputs are judged on the way in alone. */
const oneWay = (input: Input): boolean => input.path[0] === 'adopt' || input.at === 'backend'

/** Two live siblings of one name, or two owners of one row, would be a fault of the sweep. */
function own(spec: Json, { path, kind, sound }: Input, name: string): Json {
  if (kind !== 'Workspace') return spec
  const { adopt, ...rest } = spec
  const named = path[0] === 'displayName' && spec !== sound ? rest : { ...rest, displayName: name }
  return path[0] === 'adopt' ? { ...named, adopt } : named
}

export async function judge(input: Input, name: string, { api, backends, hasRow }: Scene): Promise<Result> {
  const { kind } = input
  const made = await api.create(objectOf(kind, name, own(input.spoiled, input, name)), false)
  if (made.refused) {
    const clear = (made.code === 422 || made.code === 400) && made.message.length > 0
    return { input, end: 'refused', fault: clear ? undefined : `answered ${made.code}: ${made.message}` }
  }
  const uid = (made.object.metadata as { uid?: string }).uid ?? ''
  const first = await settled(api, kind, name)
  const touched = backends.some((backend) => backend.creates.has(uid)) || (await hasRow(uid))
  if (first !== 'Ready' && touched && !first.startsWith('Ready'))
    return { input, end: first, fault: 'something was made for a spec that is not in order' }
  if (oneWay(input)) return { input, end: first, fault: undefined }
  const back = await api.replace(await present(api, kind, name, own(input.sound, input, name)))
  if (back.refused) return { input, end: first, fault: `the sound spec is refused: ${back.message}` }
  const after = await settled(api, kind, name)
  return { input, end: first, fault: after === 'Ready' ? undefined : `after the field was put right: ${after}` }
}

async function present(api: Requests, kind: Kind, name: string, spec: Json): Promise<Sent> {
  const found = await api.get(kind, name)
  if (found.refused) throw new Error(found.message)
  const { metadata } = found.object
  return { ...objectOf(kind, name, spec), metadata }
}

/** `Ready`, or the reason why not, once the operator has seen this generation and has nothing more to say at once. */
async function settled(api: Requests, kind: Kind, name: string): Promise<string> {
  return await until(
    async () => {
      const found = await api.get(kind, name)
      if (found.refused) throw new Error(found.message)
      const { generation } = found.object.metadata as { generation?: number }
      const status = (found.object.status ?? {}) as WorkspaceStatus
      if (status.observedGeneration !== generation) return undefined
      const of = (type: string) => status.conditions?.find((each) => each.type === type)
      const ready = of('Ready')
      if (ready?.status === 'True') return 'Ready'
      if (of('Stalled') !== undefined) return `Stalled: ${ready?.reason ?? ''}`
      return undefined
    },
    { within: 30_000, every: 50, what: `${kind} ${name} to be judged` },
  )
}
