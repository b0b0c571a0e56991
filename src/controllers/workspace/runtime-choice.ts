/** Which Runtime a Workspace runs, and what it lacks for that. Pure. */
import type { WorkspaceReason } from '../../api/reasons.ts'
import type { Runtime, RuntimeSpec } from '../../api/runtime.ts'
import type { Workspace } from '../../api/workspace.ts'
import { insteadOf } from '../models.ts'
import type { Gathered } from './environment.ts'
import type { Obstacle } from './obstacle.ts'

/** The Runtime in use, by name. */
export interface Chosen {
  readonly name: string
  readonly spec: Pick<
    RuntimeSpec,
    | 'image'
    | 'digest'
    | 'defaultModel'
    | 'models'
    | 'requiredEnv'
    | 'bootDeadline'
    | 'platform'
    | 'template'
    | 'sessionsPath'
  >
  readonly whole?: RuntimeSpec
}

/** An external agent that names no runtime brings whatever it is: there is no image to choose. */
const ownRuntime: Chosen = { name: 'external', spec: { image: '', bootDeadline: '10m' } }

export function runtimeOf(
  workspace: Workspace,
  runtimes: ReadonlyMap<string, Runtime>,
  backend: string,
): Chosen | Obstacle {
  const obstacle = (reason: WorkspaceReason, message: string): Obstacle => ({
    condition: 'RuntimeResolved',
    reason,
    message,
    waits: false,
  })
  const known = [...runtimes.keys()].sort().join(', ') || 'none'
  const name = workspace.spec.runtime
  if (name !== undefined) {
    const runtime = runtimes.get(name)
    if (runtime !== undefined) return { name, spec: runtime.spec, whole: runtime.spec }
    return obstacle('RuntimeUnknown', `runtime "${name}" is not in the catalog: it has ${known}`)
  }
  if (backend === 'external') return ownRuntime
  const defaults = [...runtimes.values()].filter(({ spec }) => spec.default)
  const [only] = defaults
  if (only !== undefined && defaults.length === 1)
    return { name: only.metadata.name, spec: only.spec, whole: only.spec }
  return only === undefined
    ? obstacle('NoDefaultRuntime', `spec.runtime is empty and no Runtime is the default: name one of ${known}`)
    : obstacle(
        'AmbiguousDefaultRuntime',
        `spec.runtime is empty and several Runtimes say they are the default: ${defaults
          .map(({ metadata }) => metadata.name)
          .sort()
          .join(', ')}`,
      )
}

/** A model that the runtime does not have. */
export function unknownModel({ name, spec }: Chosen, model: string): Obstacle | undefined {
  const others = insteadOf(model, spec)
  if (others === undefined) return undefined
  return {
    condition: 'RuntimeResolved',
    reason: 'ModelUnknown',
    message: `spec.model "${model}" is not one of runtime "${name}": it has ${others}`,
    waits: false,
  }
}

/** What the runtime or the model cannot work without. An external agent brings its own environment. */
export function missingVariables(
  runtime: Chosen,
  model: string,
  { env }: Gathered,
  backend: string,
): Obstacle | undefined {
  if (backend === 'external') return undefined
  const ofModel = runtime.spec.models?.find(({ id }) => id === model)?.requiredEnv
  const missing = (ofModel ?? runtime.spec.requiredEnv ?? []).filter((name) => (env[name] ?? '') === '')
  if (missing.length === 0) return undefined
  return {
    condition: 'Launched',
    reason: 'RequiredEnvMissing',
    message: `runtime "${runtime.name}" with model "${model}" needs ${missing.join(', ')}: give each in spec.env or spec.envFrom`,
    waits: false,
  }
}

/** Backends that run no images: a new one changes nothing there. */
export const imageless: ReadonlySet<string> = new Set(['process', 'external'])

/** The image by digest where one is pinned. */
export function pinned({ spec }: Chosen): string {
  if (spec.digest === undefined) return spec.image
  const lastSlash = spec.image.lastIndexOf('/')
  const tag = spec.image.indexOf(':', lastSlash + 1)
  return `${tag < 0 ? spec.image : spec.image.slice(0, tag)}@${spec.digest}`
}
